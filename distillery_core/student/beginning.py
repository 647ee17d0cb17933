"""Prepares a training run up to its first step: method, model, data, optimizer, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from distillery_core.dataset.rows import Example
from distillery_core.errors import UserError
from distillery_core.files import sha256_bytes, sha256_json
from distillery_core.filters.filter import Filter
from distillery_core.student.batches import MEGA_BATCHES
from distillery_core.student.data import EncodedSplit, TextEncoder
from distillery_core.student.dataset_check import CheckedDataset
from distillery_core.student.device import pick_device, pick_precision
from distillery_core.student.flops import peak_flops, train_flops
from distillery_core.student.lora import add_adapters, refuse_missing
from distillery_core.student.metrics import Array
from distillery_core.student.model_card import card_for
from distillery_core.student.model_factory import (
    Built,
    build,
    compute_head_in_float32,
    start_head_at_means,
)
from distillery_core.student.optimisation import (
    StartingPoint,
    make_optimizer,
    make_schedule,
    warmup_used,
)
from distillery_core.student.packing import (
    attend_by_article,
    attends_by_article,
    can_pack,
    packs_by_default,
)
from distillery_core.student.plan import (
    CPU_MICRO_TOKENS,
    CPU_PACKED_TOKENS,
    GPU_MICRO_TOKENS,
    Choice,
    choose,
)
from distillery_core.student.record import RunFacts
from distillery_core.student.run import MODEL_FOLDER, Run, Say, Scored
from distillery_core.student.selection import Selection
from distillery_core.student.settings import TrainSettings
from distillery_core.student.shape import Shape, shape_of
from distillery_core.student.sharding import shard
from distillery_core.student.step_memory import gib
from distillery_core.student.target import target_for

_FINGERPRINTED = 1 << 10


def begin(
    filter: Filter,
    dataset: CheckedDataset,
    output_dir: Path,
    settings: TrainSettings,
    accelerator: Accelerator,
    threads: int,
    say: Say,
) -> Run:
    """Build the student and everything its training needs.

    Raises:
        UserError: the base cannot be used, or no method fits the device; nothing was written.
    """
    choice, shape = _choose(settings, filter, say)
    built = _built(settings, filter, choice, accelerator.device)
    encoder = TextEncoder(built.tokenizer, filter.config.text, settings.max_length)
    train = Scored.of(filter, _encoded(encoder, dataset.train, settings), dataset.train)
    val = Scored.of(filter, _encoded(encoder, dataset.val, settings), dataset.val)
    start_head_at_means(built.model, train.split.labels.mean(axis=0).tolist())
    plain = _adapted(built, settings, choice)
    precision = pick_precision(settings.precision, accelerator.device)

    identity = _identity(filter, dataset, settings, built, plain, choice, accelerator)
    start = StartingPoint.of(plain)
    lengths = [len(article) for article in train.split.articles]
    total_steps = -(-len(lengths) // settings.effective_batch) * settings.epochs
    if settings.fsdp:
        shard(plain.to(accelerator.device), int(accelerator.num_processes))
    raw_optimizer, names = make_optimizer(plain, _head_names(plain, built), settings)
    scheduler = make_schedule(raw_optimizer, settings, total_steps)
    optimizer = accelerator.prepare(raw_optimizer)
    model = plain if settings.fsdp else accelerator.prepare(plain)

    packed = _packs(plain, settings, accelerator)
    if packed and attends_by_article(plain, settings.attention, accelerator.device):
        attend_by_article(plain)
    micro_tokens, may_pad = _at_a_time(settings, choice, accelerator.device, packed)
    # The same for packed articles, so that several processes, which do not pack, get these batches.
    bucket = may_pad if settings.bucket_by_length is None else settings.bucket_by_length
    selection = Selection.for_kind(settings.best_by, dataset.kind)
    shown = fixed_subset(
        len(lengths), train_evaluated(len(lengths), settings.train_eval_articles), settings.seed
    )
    peak = peak_flops(accelerator.device, precision)
    facts = RunFacts(
        filter=filter,
        settings=settings,
        dataset_hashes=dataset.hashes,
        base_config_sha256=built.base_config_sha256,
        method=choice.method,
        gradient_checkpointing=choice.checkpointing,
        packed=packed,
        by_mean=built.by_mean,
        best_by=selection.by,
        processes=int(accelerator.num_processes),
        num_parameters=shape.parameters,
        num_trainable_parameters=identity["num_trainable_parameters"],
        train_examples=len(lengths),
        val_examples=len(val.split),
        train_evaluated=len(shown),
        cut_share=train.split.cut_share,
        total_steps=total_steps,
        warmup_steps_used=warmup_used(settings.warmup_steps, total_steps),
        micro_batch_tokens=micro_tokens,
        bucketed=bucket,
        precision=precision,
        device=accelerator.device,
        threads=threads,
    )
    return Run(
        filter=filter,
        settings=settings,
        accelerator=accelerator,
        plain=plain,
        model=model,
        optimizer=optimizer,
        names=names,
        scheduler=scheduler,
        encoder=encoder,
        precision=precision,
        train=train,
        val=val,
        shown=train.take(shown),
        loss_weights=_loss_weights(filter, train, settings.high_score_weight),
        lengths=lengths,
        may_pad=may_pad,
        packed=packed,
        micro_tokens=micro_tokens,
        micro_articles=settings.batch_size,
        mega_batches=MEGA_BATCHES if bucket else 1,
        total_steps=total_steps,
        flops=train_flops(
            shape,
            lengths,
            frozen_base=choice.method != "full",
            reads_one=packed and not choice.checkpointing,
        ),
        peak=None if peak is None else peak * accelerator.num_processes,
        selection=selection,
        facts=facts,
        card=card_for(filter, settings, dataset),
        model_dir=output_dir / MODEL_FOLDER,
        start=start,
        identity=identity,
    )


def _choose(settings: TrainSettings, filter: Filter, say: Say) -> tuple[Choice, Shape]:
    """The method, said in a line."""
    shape = shape_of(settings.model_name, len(filter.dimensions), settings.pooling)
    target = target_for(settings.device, settings.memory_limit_gib)
    choice = choose(shape, settings, target)
    asked = " (auto)" if settings.method == "auto" else ""
    extra = ", gradient checkpointing" if choice.checkpointing else ""
    need, there = gib(choice.memory.total), gib(target.memory)
    say(f"Method: {choice.method}{asked}{extra}; needs about {need}, there are {there}")
    refuse_missing(choice.method)
    if not choice.fits:
        say(f"It may not fit: {choice.why_not}")
    return choice, shape


def _built(settings: TrainSettings, filter: Filter, choice: Choice, device: torch.device) -> Built:
    if choice.method == "qlora":
        return build(settings, filter.dimensions, held_in=torch.bfloat16, quantised_on=device)
    in_bf16 = choice.method == "lora" and held_in_bf16(settings, device)
    return build(settings, filter.dimensions, held_in=torch.bfloat16 if in_bf16 else torch.float32)


def held_in_bf16(settings: TrainSettings, device: torch.device) -> bool:
    """Whether LoRA's frozen weights are held in bf16."""
    if settings.base_precision == "auto":
        return device.type == "cuda"
    return settings.base_precision == "bf16"


def _adapted(built: Built, settings: TrainSettings, choice: Choice) -> Any:
    """The model as it is trained: with adapters where the method has them."""
    model = built.model
    if choice.checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if choice.method != "full":
        model = add_adapters(model, settings)
    compute_head_in_float32(model)
    return model


def _encoded(
    encoder: TextEncoder, examples: Sequence[Example], settings: TrainSettings
) -> EncodedSplit:
    return encoder.encode_examples(examples, settings.cache_dir)


def _head_names(plain: Any, built: Built) -> frozenset[str]:
    """Names of the head's parameters in the model that is trained."""
    copied = {name for name, _ in plain.named_parameters() if ".modules_to_save." in name}
    return frozenset(copied) or built.head_names


def _packs(plain: Any, settings: TrainSettings, accelerator: Accelerator) -> bool:
    where = settings.attention, accelerator.device
    alone = accelerator.num_processes == 1
    if settings.packing is None:
        return alone and packs_by_default(plain, *where)
    if settings.packing and not can_pack(plain, *where):
        raise UserError("packing needs a decoder base, or BERT on a CPU", where="packing")
    if settings.packing and not alone:
        raise UserError("packing works on one device", where="packing")
    return settings.packing


def _at_a_time(
    settings: TrainSettings, choice: Choice, device: torch.device, packed: bool
) -> tuple[int, bool]:
    """Tokens computed at a time, padding counted, and whether articles may be padded for it."""
    if settings.micro_batch_tokens is not None:
        return settings.micro_batch_tokens, True
    if settings.fit_batch:
        return settings.effective_batch * settings.max_length, True
    if device.type == "cpu":
        usual = CPU_PACKED_TOKENS if packed else CPU_MICRO_TOKENS
        return min(usual, choice.micro_tokens or usual), False
    return choice.micro_tokens or GPU_MICRO_TOKENS, True


def _loss_weights(filter: Filter, train: Scored, high: float) -> Array:
    """1, or `high` from the operating point up, scaled to a mean of 1."""
    weights = np.where(train.overall >= filter.operating_point, high, 1.0)
    scaled: Array = (weights / weights.mean()).astype(np.float32)
    return scaled


def train_evaluated(articles: int, asked: int | None) -> int:
    """How many training articles are evaluated each epoch: as asked, or a fifth in 100-500."""
    return min(articles, min(max(articles // 5, 100), 500) if asked is None else asked)


def fixed_subset(articles: int, size: int, seed: int) -> list[int]:
    """The training articles that are evaluated each epoch, the same ones every time."""
    chosen: list[int] = np.random.default_rng(seed).permutation(articles)[:size].tolist()
    return sorted(chosen)


def _identity(
    filter: Filter,
    dataset: CheckedDataset,
    settings: TrainSettings,
    built: Built,
    plain: Any,
    choice: Choice,
    accelerator: Accelerator,
) -> dict[str, Any]:
    return {
        "filter": filter.label,
        "settings": settings.deciding(),
        "method": choice.method,
        "gradient_checkpointing": choice.checkpointing,
        "head_reads_mean": built.by_mean,
        "num_trainable_parameters": sum(p.numel() for p in plain.parameters() if p.requires_grad),
        "processes": int(accelerator.num_processes),
        "device_type": accelerator.device.type,
        "base_config_sha256": built.base_config_sha256,
        "first_weights_sha256": _fingerprint(plain),
        "dimensions_sha256": filter.dimensions_sha256,
        "text_view_sha256": filter.text_view_sha256,
        **dataset.hashes,
    }


def _fingerprint(model: Any) -> str:
    """Hash of evenly spaced entries of every parameter, before the first step."""
    found = {}
    for name, parameter in model.named_parameters():
        flat = parameter.detach().reshape(-1)
        picked = flat[:: -(-flat.numel() // _FINGERPRINTED)].float().cpu().numpy()
        found[name] = sha256_bytes(picked.tobytes())
    return sha256_json(found)


def open_accelerator(settings: TrainSettings) -> Accelerator:
    """One process, or this one of several that `torchrun` or `accelerate launch` started.

    Raises:
        UserError: a GPU was asked for and there is none.
    """
    on_cpu = pick_device(settings.device).type == "cpu"
    return Accelerator(cpu=on_cpu)
