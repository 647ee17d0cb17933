"""What a training run leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery_core.student.record import EpochRecord


@dataclass(frozen=True)
class TrainResult:
    """A saved model, its history by epoch, and what training_metadata.json holds."""

    model_dir: Path
    history: tuple[EpochRecord, ...]
    metadata: dict[str, Any]

    @property
    def best_val_mae(self) -> float:
        """Validation MAE of the saved checkpoint."""
        return float(self.metadata["best_val_mae"])
