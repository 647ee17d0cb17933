"""Lines of a JSONL file, plain or gzip, one at a time and never more than a bounded piece."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from distillery_core.errors import UserError

MAX_LINE_BYTES = 10_000_000
"""A longer line is no article: War and Peace has 3.2 million characters."""

_GZIP_MAGIC = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_SKIP_BYTES = 1 << 20
_SHOWN_BYTES = 200


class Line(NamedTuple):
    """One line: its 1-based number, its bytes without the line end, and whether it was cut."""

    number: int
    data: bytes
    too_long: bool


def check_input(path: Path) -> None:
    """See that a file can be read as lines before anything else starts.

    Raises:
        UserError: it is missing, a folder, unreadable, UTF-16, or not the gzip it is named.
    """
    try:
        with path.open("rb") as handle:
            start = handle.read(4)
    except FileNotFoundError:
        raise UserError("no such file", where=path, hint=_neighbours(path)) from None
    except IsADirectoryError:
        hint = "name the .jsonl file inside it"
        raise UserError("is a folder, a JSONL file is needed", where=path, hint=hint) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=path) from None
    if start.startswith(_UTF16_BOMS):
        hint = f"iconv -f UTF-16 -t UTF-8 {path.name} > utf8.jsonl"
        raise UserError("is UTF-16, UTF-8 is needed", where=path, hint=hint)
    if path.suffix == ".gz" and start and not start.startswith(_GZIP_MAGIC):
        raise _not_gzip(path)
    if start.startswith(_GZIP_MAGIC):
        _check_gzip(path)


def refuse_overwriting(source: Path, output: Path) -> None:
    """See that a run does not write its result over its own input.

    Raises:
        UserError: both are the same file.
    """
    if output.exists() and source.exists() and output.samefile(source):
        hint = "name another --output"
        raise UserError("input and output are the same file", where=output, hint=hint)


def read_lines(path: Path, max_bytes: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """All lines that are not blank, without BOM, CR and LF; gzip is known by its first bytes.

    A line longer than `max_bytes` is yielded with its first 200 bytes and `too_long`; the rest of
    it is skipped in pieces, so memory stays flat.

    Raises:
        UserError: as `check_input`, or the gzip data break off on the way.
    """
    check_input(path)
    number = 0
    with _open(path) as handle:
        while True:
            data = _next_line(handle, max_bytes, path, number)
            if not data:
                return
            number += 1
            if number == 1:
                data = data.removeprefix(_UTF8_BOM)
            too_long = len(data) > max_bytes
            if too_long and not data.endswith(b"\n"):
                _skip_line(handle, path, number)
            text = data[:_SHOWN_BYTES] if too_long else data.rstrip(b"\r\n")
            if text and not text.isspace():
                yield Line(number, text, too_long)


def _open(path: Path) -> BinaryIO:
    raw = path.open("rb")
    if raw.peek(2)[:2] != _GZIP_MAGIC:
        return raw
    raw.close()
    return io.BufferedReader(gzip.open(path, "rb"), _SKIP_BYTES)


def _next_line(handle: BinaryIO, max_bytes: int, path: Path, number: int) -> bytes:
    try:
        return handle.readline(max_bytes + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _broken_gzip(path, number, error) from None


def _skip_line(handle: BinaryIO, path: Path, number: int) -> None:
    while piece := _next_line(handle, _SKIP_BYTES, path, number):
        if piece.endswith(b"\n"):
            return


def _check_gzip(path: Path) -> None:
    try:
        with gzip.open(path, "rb") as handle:
            handle.read(1)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise _not_gzip(path) from None


def _not_gzip(path: Path) -> UserError:
    hint = "rename it if it is plain text, fetch it again if it is damaged"
    return UserError("is named or begins like gzip, but its bytes are not", where=path, hint=hint)


def _broken_gzip(path: Path, number: int, error: Exception) -> UserError:
    what = f"the gzip data break off after line {number} ({error})"
    return UserError(what, where=path, hint="fetch the file again")


def _neighbours(path: Path) -> str | None:
    """What lies beside a missing file, if that may have been meant."""
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist"
    names = sorted(p.name for p in path.parent.iterdir() if ".jsonl" in p.suffixes)
    return f"{path.parent} holds: {', '.join(names[:5])}" if names else None
