"""Which epoch's model is kept, and when no better one is to be expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from distillery_core.student.settings import BestBy

if TYPE_CHECKING:  # reports name the metrics too, and need no torch for it
    from distillery_core.student.record import EpochRecord

Chosen = Literal["mae", "spearman", "recall"]

WORDS: dict[Chosen, str] = {"mae": "MAE", "spearman": "Spearman", "recall": "recall"}
KEYS: dict[Chosen, str] = {"mae": "mae", "spearman": "spearman", "recall": "needle_recall"}


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

    def value(self, record: EpochRecord) -> float | None:
        """The metric; None where an epoch has none (a constant prediction has no rank)."""
        return record.val[KEYS[self.by]]

    def best(self, history: Sequence[EpochRecord]) -> EpochRecord:
        """The best epoch, the earliest of equals."""
        return max(history, key=self._goodness)

    def is_better(self, record: EpochRecord, history: Sequence[EpochRecord]) -> bool:
        """Whether an epoch beats all earlier ones; the first one does."""
        return not history or self._goodness(record) > self._goodness(self.best(history))

    def waited(self, history: Sequence[EpochRecord]) -> int:
        """Epochs since the best one."""
        return len(history) - 1 - history.index(self.best(history))

    def line(self, record: EpochRecord) -> str:
        """`New best validation MAE: 0.945`."""
        value = self.value(record)
        shown = "-" if value is None else f"{value:.3f}"
        return f"New best validation {WORDS[self.by]}: {shown}"

    def _goodness(self, record: EpochRecord) -> tuple[float, float]:
        """Higher is better; the MAE decides between equals (recall often is)."""
        value = self.value(record)
        if self.by == "mae":
            return -record.val_mae, 0.0
        return (float("-inf") if value is None else value), -record.val_mae
