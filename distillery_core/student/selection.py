"""Which epoch's model is kept, and when no better one is to be expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Literal

from distillery_core.student.settings import BestBy

if TYPE_CHECKING:  # reports name the metrics too, and need no torch for it
    from distillery_core.student.record import EpochRecord

Chosen = Literal["mae", "spearman", "recall"]

WORDS: dict[Chosen, str] = {"mae": "MAE", "spearman": "Spearman", "recall": "recall"}
KEYS: dict[Chosen, str] = {"mae": "mae", "spearman": "spearman", "recall": "needle_recall"}


def goodness(by: Chosen, val: Mapping[str, float | None]) -> float:
    """An epoch's metric, higher is better; an epoch without it is never the best."""
    value = val.get(KEYS[by])
    if value is None:
        return -inf
    return -value if by == "mae" else value


def chosen_by(recorded: object, vals: Sequence[Mapping[str, float | None]]) -> Chosen:
    """What the kept epoch of a run that was read back was chosen by: the MAE where the record does
    not say, or no epoch of the history has that metric.

    Args:
        recorded: `best_by` of the record.
        vals: validation metrics by epoch.
    """
    known = (by for by in KEYS if by == recorded)
    return next((by for by in known if any(goodness(by, val) > -inf for val in vals)), "mae")


@dataclass(frozen=True)
class Selection:
    """How epochs are compared: by one validation metric."""

    by: Chosen

    @classmethod
    def for_kind(cls, asked: BestBy, kind: str) -> Selection:
        """As asked; auto is Spearman for needle filters, whose MAE says little, else the MAE."""
        if asked != "auto":
            return cls(asked)
        return cls("spearman" if kind == "needle" else "mae")

    def best(self, history: Sequence[EpochRecord]) -> EpochRecord:
        """The best epoch, the earliest of equals."""
        return max(history, key=self._goodness)

    def is_better(self, record: EpochRecord, history: Sequence[EpochRecord]) -> bool:
        """Whether an epoch beats all earlier ones; the first one does."""
        return not history or self._goodness(record) > self._goodness(self.best(history))

    def waited(self, history: Sequence[EpochRecord]) -> int:
        """Epochs since the best one."""
        return len(history) - 1 - history.index(self.best(history))

    def line(self, record: EpochRecord, earlier: Sequence[EpochRecord]) -> str:
        """`New best validation MAE: 0.945`; of equals, what broke the tie.

        Args:
            record: an epoch that is better than the `earlier` ones.
        """
        value = record.val[KEYS[self.by]]
        shown = f"validation {WORDS[self.by]}: {'-' if value is None else f'{value:.3f}'}"
        equal = self.best(earlier) if earlier else None
        if equal is None or self._goodness(equal)[0] < self._goodness(record)[0]:
            return f"New best {shown}"
        return (
            f"Same {shown} as in epoch {equal.epoch}, kept for its lower MAE: {record.val_mae:.3f}"
        )

    def _goodness(self, record: EpochRecord) -> tuple[float, float]:
        """Higher is better; the MAE decides between equals (recall often is)."""
        return goodness(self.by, record.val), -record.val_mae
