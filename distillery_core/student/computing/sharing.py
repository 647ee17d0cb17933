"""One run on several processes: who computes what, and everybody's predictions put together.

An optimizer batch is the same whatever the number of processes; they only share it out. Each
sees every piece of the others' numbers it needs, and process 0 alone writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object

from distillery_core.student.measures.metrics import Array

Cut = Callable[[Sequence[int]], list[list[int]]]


def share_out(positions: Sequence[int], lengths: Sequence[int], processes: int) -> list[list[int]]:
    """Positions for each process, dealt out from the longest article to the shortest."""
    if processes == 1:
        return [list(positions)]
    order = sorted(positions, key=lambda p: (-lengths[p], p))
    return [order[rank::processes] for rank in range(processes)]


def pieces_for(
    batch: Sequence[int], lengths: Sequence[int], processes: int, cut: Cut
) -> list[list[list[int]]]:
    """The pieces of each process, as many for one as for another: an empty piece stands for
    waiting, since the processes exchange gradients (and with FSDP weights) piece by piece."""
    pieces = [cut(share) for share in share_out(batch, lengths, processes)]
    most = max(len(own) for own in pieces)
    return [own + [[] for _ in range(most - len(own))] for own in pieces]


def everywhere(
    accelerator: Accelerator,
    lengths: Sequence[int],
    outputs: int,
    compute: Callable[[Sequence[int]], Array],
) -> Array:
    """Outputs [articles, outputs] of all articles, each computed by one process exactly once."""
    processes = accelerator.num_processes
    if processes == 1:
        return compute(range(len(lengths)))
    own = share_out(range(len(lengths)), lengths, processes)[accelerator.process_index]
    found = np.full((len(lengths), outputs), np.nan, dtype=np.float32)
    shares: list[Any] = gather_object([(own, compute(own))])
    for positions, values in shares:
        found[positions] = values
    return found
