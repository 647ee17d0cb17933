"""What a training run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from distillery_core.errors import UserError, UserErrors
from distillery_core.filters.config import Training

Schedule = Literal["linear", "cosine"]
Precision = Literal["auto", "float32", "bf16"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class TrainSettings:
    """One training run. Every mistake is reported at once as UserErrors.

    Attributes:
        model_name: hub id, local folder, or `package:NAME/FOLDER` inside an installed package.
        max_length: tokens read of an article; a longer one keeps its head and tail.
        epochs: passes over the training articles.
        batch_size: articles per optimizer step, whatever fits into memory at a time.
        learning_rate: peak rate of the base model's weights.
        head_learning_rate: peak rate of the new regression head; None means `learning_rate`.
        warmup_steps: asked; at most 10 % of all steps are used.
        weight_decay: AdamW's, not on biases and norms.
        seed: of the head's first weights, the order of articles, and dropout.
        schedule: how the rate falls after the warm-up.
        max_grad_norm: gradients are clipped to this norm.
        dropout: hidden and attention dropout; None keeps the base model's own. 0 is the default
            because attention dropout alone costs 1.6-1.8x on a CPU.
        precision: of the training arithmetic (weights, head, loss and evaluation stay float32);
            auto is bf16 where the device has bf16 instructions.
        attention: transformers' attention implementation.
        micro_batch_tokens: padded tokens computed at a time; 0 is one article at a time. None is
            16,384 on a GPU, and on a CPU 1,024 tokens of articles of equal length: nothing is
            padded, which takes the fast attention, and it fits into the cache.
        bucket_by_length: batches of articles of like length, so that little is padded; None does
            so where several articles are computed at a time. Otherwise batches are random, which
            small datasets learn better from.
        train_eval_articles: how many training articles are evaluated each epoch; None is a fifth
            of them, at least 100 and at most 500.
        threads: CPU threads; None is one for up to two cores, else half of the cores up to 8.
        device: auto is the GPU if there is one.
    """

    model_name: str = "Qwen/Qwen2.5-7B"
    max_length: int = 512
    epochs: int = 3
    batch_size: int = 8
    learning_rate: float = 2e-5
    head_learning_rate: float | None = None
    warmup_steps: int = 500
    weight_decay: float = 0.01
    seed: int = 42
    schedule: Schedule = "linear"
    max_grad_norm: float = 1.0
    dropout: float | None = 0.0
    precision: Precision = "auto"
    attention: str = "sdpa"
    micro_batch_tokens: int | None = None
    bucket_by_length: bool | None = None
    train_eval_articles: int | None = None
    threads: int | None = None
    device: Device = "auto"

    def __post_init__(self) -> None:
        mistakes = [*self._too_low(), *self._unknown_words()]
        if len(mistakes) == 1:
            raise mistakes[0]
        if mistakes:
            raise UserErrors(mistakes)

    @classmethod
    def from_config(cls, config: Training, **overrides: Any) -> TrainSettings:
        """A filter's training defaults; `overrides` that are not None win."""
        known = {field.name for field in fields(cls)}
        chosen = {name: value for name, value in config.model_dump().items() if name in known}
        chosen.update({name: value for name, value in overrides.items() if value is not None})
        return cls(**chosen)

    def _too_low(self) -> list[UserError]:
        lowest = {"max_length": 16, "epochs": 1, "batch_size": 1, "warmup_steps": 0}
        lowest |= {"train_eval_articles": 1, "micro_batch_tokens": 0, "threads": 1}
        found = [
            UserError(f"{name} is {getattr(self, name)}, the least is {low}", where="training")
            for name, low in lowest.items()
            if getattr(self, name) is not None and getattr(self, name) < low
        ]
        for name in ("learning_rate", "head_learning_rate", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                found.append(UserError(f"{name} is {value}, it must be above 0", where="training"))
        if not self.weight_decay >= 0:
            found.append(UserError(f"weight_decay is {self.weight_decay}", where="training"))
        if self.dropout is not None and not 0 <= self.dropout < 1:
            found.append(UserError(f"dropout is {self.dropout}, not in [0, 1)", where="training"))
        return found

    def _unknown_words(self) -> list[UserError]:
        allowed = {
            "schedule": ("linear", "cosine"),
            "precision": ("auto", "float32", "bf16"),
            "device": ("auto", "cpu", "cuda"),
        }
        return [
            UserError(
                f"{name} is {getattr(self, name)!r}, not one of {', '.join(words)}", "training"
            )
            for name, words in allowed.items()
            if getattr(self, name) not in words
        ]
