"""What a training run is asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from math import inf
from typing import Any, Literal, get_args

from distillery_core.errors import UserError, UserErrors
from distillery_core.filters.config import Training

Schedule = Literal["linear", "cosine"]
Precision = Literal["auto", "float32", "bf16"]
Device = Literal["auto", "cpu", "cuda"]
Method = Literal["auto", "full", "lora", "qlora", "frozen"]
FrozenHead = Literal["ridge", "mlp"]
BestBy = Literal["auto", "mae", "spearman", "recall"]
Pooling = Literal["auto", "first", "mean"]
HeadInit = Literal["means", "ridge"]

HOW_NOT_WHAT = frozenset(
    {"device", "threads", "checkpoint_dir", "checkpoint_every", "keep", "resume", "cache_dir"}
    | {"memory_limit_gib"}
)
"""Settings that say where and how a run is computed, not what comes out: a resumed run may have
others, and they are no part of a record."""

HOW_CUT = frozenset({"micro_batch_tokens", "fit_batch"})
"""Settings that only say how many articles of a batch are computed at a time: part of a record,
but a resumed run may have others."""

ATTENTIONS = (
    *("auto", "sdpa", "eager"),
    *("flash_attention_2", "flash_attention_3", "flex_attention"),
)

_ABOVE_ZERO = ("lora_alpha", "high_score_weight", "memory_limit_gib")
_SEEDS = 2**32
"""numpy's and torch's random numbers begin at any seed below this."""


def frozen_as_recorded(head: FrozenHead) -> str:
    """What a record calls the method of a head on a frozen base: `frozen (ridge)`."""
    return f"frozen ({head})"


def was_frozen(recorded: str) -> bool:
    """Whether a record's method is that of a head on a frozen base, whichever head."""
    return recorded == "frozen" or recorded in map(frozen_as_recorded, get_args(FrozenHead))


@dataclass(frozen=True)
class TrainSettings:
    """One training run. Every mistake is reported at once as UserErrors.

    Attributes:
        model_name: hub id, local folder, or `package:NAME/FOLDER` inside an installed package.
        max_length: tokens read of an article; a longer one keeps its head and tail.
        epochs: passes over the training articles.
        batch_size: articles of a batch over all devices; never more are computed at a time, but for
            packed ones, which go by tokens.
        accumulation: batches per optimizer step.
        fit_batch: find the most articles that fit into memory at a time, up to the effective batch
            of `batch_size * accumulation`; the optimizer steps stay the same. Not together with
            `micro_batch_tokens`, which names how many.
        learning_rate: peak rate of the base model's weights.
        head_learning_rate: peak rate of the new regression head; None means `learning_rate`.
        warmup_steps: asked; at most 10 % of all steps are used.
        weight_decay: AdamW's, not on biases and norms.
        seed: of the head's first weights, the order of articles, and dropout; 0 to 2^32 - 1.
        schedule: how the rate falls after the warm-up.
        max_grad_norm: gradients are clipped to this norm.
        dropout: hidden and attention dropout; None keeps the base model's own. 0 is the default
            because dropout costs time: packed on a CPU, MiniLM with its own 0.1 takes 1.5 times as
            long as without (docs/benchmarks.md).
        r_drop: weight in the loss of how far apart an article comes out when it is computed twice
            with other dropout (R-Drop, arXiv 2106.14448); 0 computes it once. A step takes twice
            the time.
        pooling: what the head of a BERT base reads, the first token or the mean of all; auto is
            what the base was pretrained for (mean_pooling.py). Other bases have their own way.
        head_init: how the head begins: random at the means of the labels, or as a ridge regression
            on what the base makes of the articles (docs/decisions/0018), which helps where there
            are many of them. Not with `fsdp`.
        precision: of the training arithmetic (weights, head, loss and evaluation stay float32);
            auto is bf16 where the device has bf16 instructions.
        attention: transformers' attention implementation; auto is flash_attention_2 where that
            lets articles be packed (a decoder in bf16 on one GPU, with flash-attn installed), else
            sdpa. Flex attention, which compiles itself for the card, is taken only when named.
        method: full fine-tuning, LoRA, QLoRA, or a head on a frozen base; auto is the first of
            full, LoRA and QLoRA that the plan says fits the device.
        lora_rank, lora_alpha, lora_dropout: of the adapters on every matrix of the layers.
        base_precision: of the frozen weights under LoRA; auto is bf16 on a GPU and float32 on a
            CPU. With bf16 the model is also evaluated and saved in it.
        frozen_head: what is fitted on a frozen base's embeddings.
        head_epochs: most epochs of the MLP head on a frozen base.
        gradient_checkpointing: computes activations again instead of keeping them; None does so
            where nothing else fits.
        packing: articles one after another without padding, where the attention can keep them
            apart, on one device; None does so for decoders and BERT on a CPU, and for decoders with
            flash or flex attention (docs/decisions/0012).
        patience: epochs without a better validation metric after which training ends; None never.
        best_by: what the best checkpoint has most of (mae: least); auto is mae, and spearman for
            the datasets of needle filters.
        high_score_weight: weight in the loss of articles whose labelled overall score reaches the
            filter's lowest tier of interest, beside 1 for the others.
        checkpoint_dir: where checkpoints to resume from are written; None writes none.
        checkpoint_every: optimizer steps between two; one is written after every epoch anyway.
        keep: how many checkpoints are kept.
        resume: "newest", or the folder of a checkpoint.
        cache_dir: where token ids and embeddings are kept by hash; None keeps none.
        memory_limit_gib: the plan counts on this much memory; None is what the device has, or what
            a container leaves of it.
        fsdp: with several GPUs, share the weights among them instead of copying them.
        micro_batch_tokens: padded tokens computed at a time; 0 is one article at a time. None is
            16,384 on a GPU, and on a CPU, where nothing is padded, 2,048 tokens of packed articles
            or, for bases that are not packed, 1,024 of articles of equal length.
        bucket_by_length: batches of articles of like length, so that little is padded; None does
            so on a GPU. Otherwise batches are random, which small datasets learn better from.
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
    r_drop: float = 0.0
    pooling: Pooling = "auto"
    head_init: HeadInit = "means"
    precision: Precision = "auto"
    attention: str = "auto"
    method: Method = "auto"
    lora_rank: int = 16
    lora_alpha: float = 32.0
    lora_dropout: float = 0.0
    base_precision: Precision = "auto"
    frozen_head: FrozenHead = "ridge"
    head_epochs: int = 100
    accumulation: int = 1
    fit_batch: bool = False
    gradient_checkpointing: bool | None = None
    packing: bool | None = None
    patience: int | None = None
    best_by: BestBy = "auto"
    high_score_weight: float = 1.0
    checkpoint_dir: str | None = None
    checkpoint_every: int | None = None
    keep: int = 2
    resume: str | None = None
    cache_dir: str | None = None
    memory_limit_gib: float | None = None
    fsdp: bool = False
    micro_batch_tokens: int | None = None
    bucket_by_length: bool | None = None
    train_eval_articles: int | None = None
    threads: int | None = None
    device: Device = "auto"

    def __post_init__(self) -> None:
        mistakes = [*self._too_low(), *self._unknown_words(), *self._at_odds()]
        if len(mistakes) == 1:
            raise mistakes[0]
        if mistakes:
            raise UserErrors(mistakes)

    @property
    def effective_batch(self) -> int:
        """Articles per optimizer step."""
        return self.batch_size * self.accumulation

    @property
    def draws(self) -> int:
        """How often a step computes each article, with other dropout."""
        return 2 if self.r_drop else 1

    def deciding(self) -> dict[str, Any]:
        """The settings that decide what comes out: what a record holds and a resume compares."""
        return {name: value for name, value in asdict(self).items() if name not in HOW_NOT_WHAT}

    @classmethod
    def from_config(cls, config: Training, **overrides: Any) -> TrainSettings:
        """A filter's training defaults; `overrides` win, None among them."""
        known = {field.name for field in fields(cls)}
        chosen = {name: value for name, value in config.model_dump().items() if name in known}
        return cls(**chosen | overrides)

    def _too_low(self) -> list[UserError]:
        lowest = {"max_length": 16, "epochs": 1, "batch_size": 1, "warmup_steps": 0}
        lowest |= {"train_eval_articles": 1, "micro_batch_tokens": 0, "threads": 1}
        lowest |= {"lora_rank": 1, "head_epochs": 1, "accumulation": 1, "patience": 1, "keep": 1}
        lowest |= {"checkpoint_every": 1}
        found = [
            UserError(f"{name} is {getattr(self, name)}, the least is {low}", where="training")
            for name, low in lowest.items()
            if getattr(self, name) is not None and getattr(self, name) < low
        ]
        for name in ("learning_rate", "head_learning_rate", "max_grad_norm", *_ABOVE_ZERO):
            value = getattr(self, name)
            if value is not None and not 0 < value < inf:
                what = f"{name} is {value}, it must be a finite number above 0"
                found.append(UserError(what, where="training"))
        if not 0 <= self.seed < _SEEDS:
            what = f"seed is {self.seed}, it must be from 0 to {_SEEDS - 1}"
            found.append(UserError(what, where="training"))
        for name in ("weight_decay", "r_drop"):
            value = getattr(self, name)
            if not 0 <= value < inf:
                what = f"{name} is {value}, it must be a finite number of at least 0"
                found.append(UserError(what, where="training"))
        for name in ("dropout", "lora_dropout"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                found.append(UserError(f"{name} is {value}, not in [0, 1)", where="training"))
        return found

    def _at_odds(self) -> list[UserError]:
        """Settings that cannot both be meant."""
        found = []
        if self.fit_batch and self.micro_batch_tokens is not None:
            what = (
                f"{self.micro_batch_tokens} tokens at a time (--tokens-per-batch) and as many as "
                "fit (--batch-size auto) are both asked for"
            )
            found.append(UserError(what, "training", "leave one of them out"))
        if self.head_init == "ridge" and self.fsdp:
            what = "head_init is ridge, for which no process has the whole base (--fsdp)"
            found.append(UserError(what, "training", "head_init: means"))
        drops = self.dropout != 0 or self.lora_dropout or self.method == "frozen"
        if self.r_drop > 0 and not drops:
            what = f"r_drop is {self.r_drop} and dropout 0: both draws would be the same"
            found.append(UserError(what, "training", "dropout: 0.1"))
        return found

    def _unknown_words(self) -> list[UserError]:
        allowed = {
            "schedule": get_args(Schedule),
            "precision": get_args(Precision),
            "base_precision": get_args(Precision),
            "device": get_args(Device),
            "method": get_args(Method),
            "frozen_head": get_args(FrozenHead),
            "best_by": get_args(BestBy),
            "pooling": get_args(Pooling),
            "head_init": get_args(HeadInit),
            "attention": ATTENTIONS,
        }
        return [
            UserError(
                f"{name} is {getattr(self, name)!r}, not one of {', '.join(words)}", "training"
            )
            for name, words in allowed.items()
            if getattr(self, name) not in words
        ]
