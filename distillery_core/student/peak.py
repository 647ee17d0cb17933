"""The most FLOP/s that a run's devices can do, and the share of it that the run does (MFU)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peak:
    """The most FLOP/s in matrix products.

    Attributes:
        flops: FLOP/s of all devices of a run.
        of: what can do so much: devices, precision and threads in words.
    """

    flops: float
    of: str

    def share(self, flops: float, seconds: float) -> float | None:
        """What so many FLOPs in so many seconds are of it, 0-1.

        None above 1: no device does more than it can, so the peak is not what it was taken for.
        """
        found = flops / max(seconds, 1e-9) / self.flops
        return found if found <= 1 else None


def kept(first: Peak | None, now: Peak | None) -> Peak | None:
    """The peak of a run that goes on: as it was first measured, so that all its epochs are shares
    of one number, unless it goes on with another device, precision or number of threads.

    Args:
        first: as the checkpoint has it.
        now: as measured when the run was taken up.
    """
    return first if first is not None and now is not None and first.of == now.of else now
