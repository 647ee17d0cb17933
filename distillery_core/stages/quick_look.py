"""The quick look after training, no gate: is the model good enough to be judged?

The seed's three answers by validation MAE, given only where the model also beats a constant and
has some skill by the metric that its epoch was chosen by.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distillery_core.filters import Filter
from distillery_core.stages.project import Project
from distillery_core.student.chance import Metrics, is_skilled
from distillery_core.student.selection import KEYS, WORDS, Chosen, chosen_by

if TYPE_CHECKING:
    from distillery_core.student.result import TrainResult

GO_ON_BELOW = 1.0
RETRAIN_ABOVE = 1.5


@dataclass(frozen=True, slots=True)
class QuickLook:
    """A model on its validation articles.

    Attributes:
        by: what its epoch was chosen by.
        val: validation metrics of that epoch.
        constant_mae: of the per-dimension median of the training labels, on validation.
        articles: of validation.
    """

    by: Chosen
    val: Metrics
    constant_mae: float
    articles: int

    @property
    def mae(self) -> float:
        """Of the model."""
        return float(self.val["mae"] or 0.0)

    @property
    def figures(self) -> str:
        """`validation MAE 0.609, Spearman -0.022`."""
        mae = f"validation MAE {self.mae:.3f}"
        return mae if self.by == "mae" else f"{mae}, {_shown(self.by, self.val)}"

    def advice(self, help: str) -> str:
        """What to do next.

        Args:
            help: what may make a better model.
        """
        again = f"train again first ({help})"
        without = self._without_skill()
        if without:
            return f"{without}: {again}"
        if self.mae >= self.constant_mae:
            return self._no_better_than_a_constant(again)
        if self.mae > RETRAIN_ABOVE:
            return f"validation MAE above {RETRAIN_ABOVE}: {again}"
        if not is_skilled(self.by, self.val, self.articles):
            chance = f"may be chance on {self.articles} articles: go on with care"
            return f"validation {_shown(self.by, self.val)} {chance}"
        if self.mae < GO_ON_BELOW:
            return f"validation MAE below {GO_ON_BELOW}: go on"
        return f"validation MAE between {GO_ON_BELOW} and {RETRAIN_ABOVE}: go on with care"

    def _without_skill(self) -> str:
        """What shows that the model learned nothing; empty where nothing does.

        Where the epoch was chosen by the MAE its ranks count, as far as they are known.
        """
        asked: Chosen = "spearman" if self.by == "mae" else self.by
        value = self.val.get(KEYS[asked])
        if value is None:
            return "" if self.by == "mae" else f"there is no validation {WORDS[asked]}"
        return f"validation {_shown(asked, self.val)} is no skill" if value <= 0 else ""

    def _no_better_than_a_constant(self, again: str) -> str:
        """Of a needle filter a constant has a low MAE: one that ranks may still be of use."""
        told = f"validation MAE not below that of a constant ({self.constant_mae:.3f})"
        if self.by == "mae" or not is_skilled(self.by, self.val, self.articles):
            return f"{told}: {again}"
        return f"{told}, though {_shown(self.by, self.val)}: let the evaluation decide"


def quick_look(
    project: Project, filter: Filter, result: TrainResult, data_dir: Path | None
) -> QuickLook:
    """Compare a trained model with a constant on the articles that its epoch was chosen by.

    Args:
        result: of training; one without a history is looked at by its MAE.
        data_dir: as for training.
    """
    import numpy as np

    from distillery_core.dataset.rows import read_examples
    from distillery_core.student.measures.baselines import constant
    from distillery_core.student.measures.metrics import mae

    folder = data_dir or project.training_dir(filter)
    train, val = (
        np.array([one.labels for one in read_examples(folder / f"{split}.jsonl")])
        for split in ("train", "val")
    )
    by = chosen_by(result.metadata.get("best_by"), [epoch.val for epoch in result.history])
    bettered = [epoch.val for epoch in result.history if epoch.is_best]
    kept = bettered[-1] if bettered else {"mae": result.best_val_mae}
    return QuickLook(by, kept, mae(constant(train, len(val)), val), len(val))


def _shown(by: Chosen, val: Metrics) -> str:
    value = val.get(KEYS[by])
    return f"{WORDS[by]} {'-' if value is None else f'{value:.3f}'}"
