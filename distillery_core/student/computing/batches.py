"""Which articles are computed together: optimizer batches, micro-batches, padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distillery_core.student.data import Encoded

MEGA_BATCHES = 50
"""Articles are sorted by length within so many batches: enough that padding costs 1.00-1.01x,
few enough that the order stays random."""


@dataclass(frozen=True, slots=True)
class Padded:
    """A padded batch; `mask` is None where nothing is padded, which takes the faster attention."""

    input_ids: Tensor
    mask: Tensor | None


def epoch_batches(
    lengths: Sequence[int], batch_size: int, seed: int, epoch: int, mega: int = MEGA_BATCHES
) -> list[list[int]]:
    """Positions of one epoch's articles, every one exactly once, in batches of like length.

    The same seed and epoch give the same batches, however they are computed afterwards. The last
    batch may be smaller. `mega` is the number of batches that are sorted together; 1 is plain
    random batches.
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(order), mega * batch_size):
        window = sorted(order[start : start + mega * batch_size].tolist(), key=lengths.__getitem__)
        batches += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
    rng.shuffle(batches)
    return batches


def micro_batches(
    positions: Sequence[int],
    lengths: Sequence[int],
    max_tokens: int,
    may_pad: bool = True,
    max_articles: int | None = None,
) -> list[list[int]]:
    """Cut a batch into pieces of at most `max_tokens` padded tokens, longest article first.

    A piece has at most `max_articles`. 0 tokens is one article at a time, and an article that is
    longer than `max_tokens` stands alone. Without `may_pad` only articles of equal length are put
    together. The longest come first, so that memory that does not suffice fails at once.
    """
    pieces: list[list[int]] = []
    for position in sorted(positions, key=lambda p: (-lengths[p], p)):
        last = pieces[-1] if pieces else None
        fits = last and (len(last) + 1) * lengths[last[0]] <= max_tokens
        fits = fits and (max_articles is None or len(last or ()) < max_articles)
        if last and fits and (may_pad or lengths[position] == lengths[last[0]]):
            last.append(position)
        else:
            pieces.append([position])
    return pieces


def pad(
    articles: Sequence[Encoded], pad_token_id: int, device: torch.device, side: str = "right"
) -> Padded:
    """Fill articles up to the longest of them, int64 [articles, tokens] on `device`."""
    longest = max(len(article) for article in articles)
    ids = torch.full((len(articles), longest), pad_token_id, dtype=torch.long)
    mask = torch.zeros((len(articles), longest), dtype=torch.long)
    for row, article in enumerate(articles):
        start = longest - len(article) if side == "left" else 0
        ids[row, start : start + len(article)] = torch.as_tensor(article.tokens)
        mask[row, start : start + len(article)] = 1
    full = all(len(article) == longest for article in articles)
    return Padded(ids.to(device), None if full else mask.to(device))


def padding_waste(pieces: Sequence[Sequence[int]], lengths: Sequence[int]) -> float:
    """Share of computed tokens that were padding, 0-1."""
    computed = sum(len(piece) * max(lengths[p] for p in piece) for piece in pieces)
    useful = sum(lengths[p] for piece in pieces for p in piece)
    return 1.0 - useful / computed if computed else 0.0
