"""What a training run writes down: history each epoch, metadata with every hash, lines to read."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from distillery_core.files import now_utc, write_json
from distillery_core.filters.filter import Filter
from distillery_core.student.base_folder import local_folder
from distillery_core.student.computing.device import describe
from distillery_core.student.peak import Peak
from distillery_core.student.settings import TrainSettings, frozen_as_recorded
from distillery_core.version import __version__

HISTORY = "training_history.json"
METADATA = "training_metadata.json"

_OPTIONAL = ("peft", "bitsandbytes")

Metrics = dict[str, float | None]


@dataclass
class EpochRecord:
    """One entry of training_history.json.

    Attributes:
        train: metrics of a fixed set of training articles, in evaluation mode.
        val: metrics of all validation articles.
        running_loss: mean of the batches' losses while the weights were changing.
        learning_rate: of the base model after the last step.
        seconds: wall time of the training pass, evaluation not counted.
        tokens: tokens of the articles passed over, padding not counted. A frozen base reads them
            once, in the first epoch; in the later ones only its head is fitted. Features that an
            earlier run left in the cache are not read at all.
        padding_waste: share of computed tokens that were padding, 0-1.
        tokens_per_second: useful tokens of the training pass, over all devices; None where no
            article was read.
        model_flops_utilisation: share of the devices' peak spent on useful work (flops.py says how
            it is counted), 0-1; None where the peak is not known, or cannot be right: more than
            all of it was reached.
        peak_memory_bytes: most memory so far: of the device's tensors on a GPU, of the whole
            process on a CPU.
    """

    epoch: int
    running_loss: float
    learning_rate: float
    seconds: float
    tokens: int
    padding_waste: float
    tokens_per_second: float | None
    model_flops_utilisation: float | None
    peak_memory_bytes: int
    train: Metrics = field(default_factory=dict)
    val: Metrics = field(default_factory=dict)
    is_best: bool = False

    @property
    def val_mae(self) -> float:
        """Validation MAE, what the best checkpoint is chosen by."""
        return _number(self.val, "mae")

    def as_json(self) -> dict[str, Any]:
        """The entry in the seed's format, with more keys after it."""
        row = asdict(self)
        first = {key: row.pop(key) for key in ("epoch", "train", "val")}
        return first | row

    def lines(self, epochs: int) -> list[str]:
        """The epoch as the live report shows it."""
        found = [f"Epoch {self.epoch}/{epochs}", "=" * 40]
        for title, metrics in (("Training:", self.train), ("Validation:", self.val)):
            found.append(title)
            for name, key in (("Loss", "loss"), ("MAE", "mae"), ("RMSE", "rmse")):
                found.append(f"  {name}: {_number(metrics, key):.3f}")
        return found


@dataclass(frozen=True)
class Fitted:
    """What weights are fitted with.

    Attributes:
        epochs: at most.
        batch_size: articles of a batch; `accumulation` batches are a step.
        learning_rate: the highest; None where weights are solved for.
    """

    epochs: int
    batch_size: int
    learning_rate: float | None
    accumulation: int = 1


@dataclass(frozen=True)
class RunFacts:
    """What is known about a run before its first step.

    `own_way` is what a method takes in place of the settings of the same names; None where it is
    fitted as the settings say. `peak` is None where it is not known.
    """

    filter: Filter
    settings: TrainSettings
    dataset_hashes: dict[str, str]
    labelled_by: tuple[tuple[str | None, int], ...]
    base_config_sha256: str
    method: str
    gradient_checkpointing: bool
    packed: bool
    attention: str
    by_mean: bool
    best_by: str
    processes: int
    num_parameters: int
    num_trainable_parameters: int
    train_examples: int
    val_examples: int
    train_evaluated: int
    cut_share: float
    total_steps: int
    warmup_steps_used: int
    micro_batch_tokens: int
    bucketed: bool
    precision: str
    device: torch.device
    threads: int
    own_way: Fitted | None = None
    peak: Peak | None = None

    @property
    def fitted(self) -> Fitted:
        """What the weights are fitted with."""
        asked = self.settings
        return self.own_way or Fitted(
            epochs=asked.epochs,
            batch_size=asked.batch_size,
            learning_rate=asked.learning_rate,
            accumulation=asked.accumulation,
        )

    def notes(self) -> list[str]:
        """Lines for the live report, one for each thing that a user should know."""
        asked, used = self.settings.warmup_steps, self.warmup_steps_used
        asked_threads = self.settings.threads
        found = [
            f"{self.settings.model_name}: {self.num_parameters:,} parameters, "
            f"{self.num_trainable_parameters:,} trained in {self.precision} "
            f"on {self.device_words}"
        ]
        if self.by_mean:
            layer = "" if self.method == frozen_as_recorded("mlp") else " (one layer more)"
            found.append(f"Its head reads the mean of an article's tokens{layer}")
        if used < asked and self.own_way is None:
            found.append(f"Warm-up: {used} steps, not {asked} (10 % of {self.total_steps} at most)")
        if asked_threads is not None and self.threads < asked_threads:
            shared = f", shared by {self.processes} processes" if self.processes > 1 else ""
            why = f"at most one a core{shared}"
            found.append(f"CPU threads: {self.threads}, not {asked_threads} ({why})")
        if self.cut_share:
            share = f"{self.cut_share:.0%} of the training articles are longer than"
            found.append(f"{share} {self.settings.max_length} tokens and keep their head and tail")
        return found

    @property
    def device_words(self) -> str:
        """`2 x NVIDIA H100`."""
        words = describe(self.device)
        return words if self.processes == 1 else f"{self.processes} x {words}"

    def parameters(self) -> dict[str, Any]:
        """What the experiment tracker is told."""
        return {
            "filter": self.filter.label,
            **self.settings.deciding(),
            "method_used": self.method,
            "epochs_used": self.fitted.epochs,
            "effective_batch_used": self.fitted.batch_size * self.fitted.accumulation,
            "learning_rate_used": self.fitted.learning_rate,
            "warmup_steps_used": self.warmup_steps_used,
            "precision_used": self.precision,
            "threads_used": self.threads,
            "num_parameters": self.num_parameters,
            "num_trainable_parameters": self.num_trainable_parameters,
            "train_examples": self.train_examples,
            "val_examples": self.val_examples,
            **self.dataset_hashes,
        }


def metadata(
    facts: RunFacts,
    history: Sequence[EpochRecord],
    best: EpochRecord,
    model_sha256: str,
    seconds: float,
    complete: bool,
    weights_moved: Mapping[str, float | int],
) -> dict[str, Any]:
    """training_metadata.json: the seed's keys, then what makes the run repeatable and checkable.

    `complete` is false while epochs are still to come, so that a run that was cut off shows.
    `settings` is what was asked for, the keys beside it what was done.
    """
    settings, fitted, dimensions = facts.settings, facts.fitted, facts.filter.dimensions
    return {
        "filter_name": facts.filter.name,
        "filter_version": facts.filter.config.filter.version,
        "dimension_names": list(dimensions),
        "num_dimensions": len(dimensions),
        "model_name": settings.model_name,
        "base_is_folder": local_folder(settings.model_name) is not None,
        "num_parameters": facts.num_parameters,
        "num_trainable_parameters": facts.num_trainable_parameters,
        "epochs": fitted.epochs,
        "batch_size": fitted.batch_size,
        "learning_rate": fitted.learning_rate,
        "max_length": settings.max_length,
        "warmup_steps": facts.warmup_steps_used,
        "train_examples": facts.train_examples,
        "val_examples": facts.val_examples,
        "best_val_mae": best.val_mae,
        "best_epoch": best.epoch,
        "best_by": facts.best_by,
        "epochs_run": len(history),
        "complete": complete,
        "method": facts.method,
        "weights_moved": dict(weights_moved),
        "warmup_steps_asked": settings.warmup_steps,
        "settings": settings.deciding(),
        "seed": settings.seed,
        "total_steps": facts.total_steps,
        "effective_batch_size": fitted.batch_size * fitted.accumulation,
        "micro_batch_tokens": facts.micro_batch_tokens,
        "bucketed_by_length": facts.bucketed,
        "packed": facts.packed,
        "attention": facts.attention,
        "head_reads_mean": facts.by_mean,
        "padding_waste": max(record.padding_waste for record in history),
        "gradient_checkpointing": facts.gradient_checkpointing,
        "train_evaluated_on": {"articles": facts.train_evaluated, "mode": "evaluation"},
        "articles_cut_share": facts.cut_share,
        "device": facts.device_words,
        "processes": facts.processes,
        "precision": facts.precision,
        "threads": facts.threads,
        "peak_flops": facts.peak.flops if facts.peak else None,
        "seconds": round(seconds, 1),
        "tokens": sum(record.tokens for record in history),
        "finished_at": now_utc(),
        "labelled_by": [{"oracle": name, "rows": rows} for name, rows in facts.labelled_by],
        "hashes": _hashes(facts, model_sha256),
        "versions": _versions(),
    }


_OF_THE_PASS = (
    *("running_loss", "learning_rate", "seconds", "tokens", "tokens_per_second"),
    *("padding_waste", "model_flops_utilisation", "peak_memory_bytes"),
)


def flat_metrics(record: EpochRecord) -> dict[str, float]:
    """An epoch as `train/mae`, `val/mae` ... for the experiment tracker."""
    flat = {
        f"{split}/{name}": value
        for split, metrics in (("train", record.train), ("val", record.val))
        for name, value in metrics.items()
        if value is not None
    }
    run = {name: getattr(record, name) for name in _OF_THE_PASS}
    return flat | {name: float(value) for name, value in run.items() if value is not None}


def write_history(output_dir: Path, history: Sequence[EpochRecord]) -> None:
    """Write training_history.json (the seed's format, one entry an epoch)."""
    write_json(output_dir / HISTORY, [record.as_json() for record in history])


def write_metadata(output_dir: Path, values: dict[str, Any]) -> None:
    """Write training_metadata.json."""
    write_json(output_dir / METADATA, values)


def _hashes(facts: RunFacts, model_sha256: str) -> dict[str, str]:
    return {
        **facts.dataset_hashes,
        "text_view_sha256": facts.filter.text_view_sha256,
        "filter_digest": facts.filter.digest,
        "dimensions_sha256": facts.filter.dimensions_sha256,
        "model_sha256": model_sha256,
        "base_config_sha256": facts.base_config_sha256,
    }


def _versions() -> dict[str, str]:
    names = ("torch", "transformers", "accelerate", "tokenizers", "numpy", *_OPTIONAL)
    found = {name: version(name) for name in names if find_spec(name) is not None}
    return {"distillery": __version__, "python": platform.python_version(), **found}


def _number(metrics: Metrics, key: str) -> float:
    value = metrics[key]
    if value is None:
        raise ValueError(f"{key} is not a number")
    return value
