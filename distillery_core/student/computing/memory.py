"""Memory of a run: what was used, what was too much, and the most that fits."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch

from distillery_core.errors import UserError
from distillery_core.out_of_memory import is_out_of_memory, other_cause
from distillery_core.student.computing.batches import micro_batches
from distillery_core.student.data import Encoded

_NAMED = 8

Part = Literal["piece", "update", "evaluation", "head"]
_WHEN: dict[Part, str] = {
    "piece": "at step",
    "update": "in the optimizer's update of step",
    "evaluation": "in the evaluation after step",
    "head": "as the base read articles for the head, before step",
}


@contextmanager
def memory_named(named: Callable[[], UserError]) -> Iterator[None]:
    """What runs out of memory in the block ends in this error, with its own as the cause."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise _with_doubt(named(), error) from error


def _with_doubt(named: UserError, error: BaseException) -> UserError:
    cause = other_cause(error)
    hint = f"{named.hint}; or it is {cause}" if cause else named.hint
    return UserError(named.what, where=named.where, hint=hint)


def out_of_memory(
    step: int, piece: Sequence[Encoded], batch: int, tokens: int, part: Part = "piece"
) -> UserError:
    """The error that names what was computed when memory ran out, and what to change.

    Args:
        piece: the articles computed at a time.
        batch: articles of the optimizer step, or of the evaluation.
        tokens: that were computed, padding counted.
        part: of the run, in which it happened.
    """
    longest = max(len(article) for article in piece)
    named = ", ".join(article.id for article in piece[:_NAMED])
    more = f" and {len(piece) - _NAMED} more" if len(piece) > _NAMED else ""
    what = (
        f"out of memory {_WHEN[part]} {step}: {len(piece)} articles at a time ({named}{more}), the "
        f"longest of {longest} tokens, {tokens:,} tokens in all, "
        f"of a batch of {batch}"
    )
    smaller = max(longest, tokens // 2) if len(piece) > 1 else None
    return UserError(what, where="memory", hint=_less_memory(part, smaller))


def too_much_to_read(step: int, articles: Sequence[Encoded], tokens: int, part: Part) -> UserError:
    """The error where a base only reads, without learning: names the piece of the longest
    articles, `tokens` padded tokens at a time, which comes first."""
    lengths = [len(article) for article in articles]
    piece = [articles[p] for p in micro_batches(range(len(articles)), lengths, tokens)[0]]
    return out_of_memory(step, piece, len(articles), len(piece) * len(piece[0]), part)


def _less_memory(part: Part, smaller: int | None) -> str:
    """What helps; `smaller` is how many tokens at a time would, None where it is one article."""
    if part == "update":
        return "--method lora, or a smaller base"
    if part in ("evaluation", "head"):
        fewer = f"--tokens-per-batch {smaller}, also with --resume; " if smaller else ""
        return f"{fewer}a shorter --max-length, or a smaller base"
    if smaller:
        return (
            f"--batch-size auto, or --tokens-per-batch {smaller} (the same steps in smaller "
            "pieces, also with --resume)"
        )
    return "--gradient-checkpointing, a shorter --max-length, --method lora, or a smaller base"


def largest_that_fits(attempt: Callable[[int], None], most: int) -> int:
    """The largest of `most`, `most / 2`, `most / 4` ... for which memory suffices.

    Args:
        attempt: computes so many articles; what it raises when memory runs out is swallowed.

    Raises:
        UserError: not even one fits.
    """
    size = most
    while True:
        if _fits(attempt, size):
            return size
        if size == 1:
            raise UserError(
                "not even one article fits into memory",
                where="--batch-size auto",
                hint="--gradient-checkpointing, a shorter --max-length, --method lora, "
                "or a smaller base",
            )
        size //= 2


def _fits(attempt: Callable[[int], None], size: int) -> bool:
    try:
        attempt(size)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        fits = False
    else:
        fits = True
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return fits


def peak_bytes(device: torch.device) -> int:
    """Most memory used so far: of tensors on a GPU, of the whole process on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
