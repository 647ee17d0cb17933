"""Whether an error says that memory ran out, and what else it may mean."""

from __future__ import annotations

import errno

_SAID = (
    *("allocate memory", "not enough memory", "out of memory"),
    *("bad_alloc", "can't start new thread"),
)
_SAID_OF_MORE = {
    # A loader of shared libraries and oneDNN (torch's products of matrices on a CPU) have one
    # message for several faults, and memory is the most frequent.
    "failed to map segment": "a library on a disk that is mounted noexec",
    "could not create a primitive": 'a fault of oneDNN, which says no more than "{error}"',
    "could not execute a primitive": 'a fault of oneDNN, which says no more than "{error}"',
}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on a CPU.

    torch says so in a RuntimeError, the loader of a library's files in an ImportError or OSError.
    """
    # torch's own kind goes by its name: importing torch for it would cost a second.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    told = str(error).lower()
    tells = isinstance(error, (RuntimeError, ImportError, OSError))  # ctypes has no number
    return tells and any(words in told for words in (*_SAID, *_SAID_OF_MORE))


def other_cause(error: BaseException) -> str | None:
    """What else it may be, where the words of the error are not of memory alone; else None."""
    told = str(error)
    causes = (cause for words, cause in _SAID_OF_MORE.items() if words in told.lower())
    return next((cause.format(error=told) for cause in causes), None)
