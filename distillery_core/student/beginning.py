"""Prepares a training run up to its first step: method, model, data, optimizer, on the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from distillery_core.files import sha256_bytes, sha256_json
from distillery_core.filters.filter import Filter
from distillery_core.student.arrangement import Arrangement, arrange
from distillery_core.student.computing.batches import MEGA_BATCHES
from distillery_core.student.computing.device import pick_device, pick_precision, started_fewer
from distillery_core.student.computing.embedding_gradient import add_where_tokens_occur
from distillery_core.student.computing.sharding import refuse_one_process, shard
from distillery_core.student.dataset_check import CheckedDataset
from distillery_core.student.head_init import fit_head_first, fits_first, start_head_at_means
from distillery_core.student.lora import add_adapters, refuse_missing
from distillery_core.student.model_card import card_for
from distillery_core.student.model_factory import (
    Built,
    build,
    checkpoint_gradients,
    compute_head_in_float32,
    refuse_no_dropout,
)
from distillery_core.student.optimisation import (
    StartingPoint,
    make_optimizer,
    make_schedule,
    warmup_used,
)
from distillery_core.student.peak import Peak
from distillery_core.student.planning.auto import Decided, decide
from distillery_core.student.planning.flops import peak_flops, train_flops
from distillery_core.student.planning.plan import Choice, choose
from distillery_core.student.planning.shape import Shape, describe_model
from distillery_core.student.planning.step_memory import digits_apart, gib
from distillery_core.student.record import RunFacts
from distillery_core.student.resuming import checkpoint_of
from distillery_core.student.run import MODEL_FOLDER, Run, Say
from distillery_core.student.run_articles import (
    Articles,
    loss_weights,
    read_articles,
    say_longest_alone,
)
from distillery_core.student.selection import Selection
from distillery_core.student.settings import Precision, TrainSettings
from distillery_core.student.without_effect import say_what_has_no_effect

_FINGERPRINTED = 1 << 10


@dataclass(frozen=True)
class _Job:
    """What a run is begun from: what was asked for, and what was chosen for it.

    `settings` are as asked, for the record; `built` came of them with every `auto` decided.
    """

    filter: Filter
    dataset: CheckedDataset
    settings: TrainSettings
    accelerator: Accelerator
    threads: int
    choice: Choice
    shape: Shape
    built: Built

    @property
    def precision(self) -> Precision:
        """Of the training arithmetic."""
        return pick_precision(self.settings.precision, self.accelerator.device)

    @property
    def total_steps(self) -> int:
        """Optimizer steps of all epochs."""
        settings = self.settings
        return -(-len(self.dataset.train) // settings.effective_batch) * settings.epochs

    @property
    def selection(self) -> Selection:
        """Which epoch is kept."""
        return Selection.for_kind(self.settings.best_by, self.dataset.kind)


def begin(
    filter: Filter,
    dataset: CheckedDataset,
    output_dir: Path,
    settings: TrainSettings,
    accelerator: Accelerator,
    threads: int,
    say: Say,
    accepted: Callable[[], None] = lambda: None,
) -> Run:
    """Build the student and everything its training needs.

    Args:
        accepted: called once, when what can be told without the base's weights speaks for the run,
            and before they are loaded.

    Raises:
        UserError: the base cannot be used, no method fits the device, or there is nobody to share
            with, or no checkpoint; nothing was written.
    """
    processes = int(accelerator.num_processes)
    fewer = started_fewer(processes)
    if fewer is not None:
        say(fewer)
    _refuse_what_is_not_there(settings, processes)
    found, choice = _choose(settings, filter, processes, say)
    accepted()
    decided = found.settings
    built = _built(decided, filter, choice, accelerator.device)
    shape = describe_model(built.model)
    job = _Job(filter, dataset, settings, accelerator, threads, choice, shape, built)
    articles = read_articles(filter, dataset, settings, built.tokenizer)
    say_longest_alone(settings, articles.lengths, say)
    start_head_at_means(built.model, articles.train.split.labels.mean(axis=0).tolist())
    plain = _adapted(built, decided, choice)
    refuse_no_dropout(plain, settings)
    pieces = arrange(decided, choice.micro_tokens, plain, accelerator)
    identity = _identity(job, plain, pieces)
    trained = _trained(job, plain, articles, say)
    return _run(job, output_dir / MODEL_FOLDER, articles, pieces, trained, identity)


def _refuse_what_is_not_there(settings: TrainSettings, processes: int) -> None:
    if settings.fsdp:
        refuse_one_process(processes)
    if settings.resume:
        checkpoint_of(settings)


def _run(
    job: _Job,
    model_dir: Path,
    articles: Articles,
    pieces: Arrangement,
    trained: _Trained,
    identity: dict[str, Any],
) -> Run:
    settings = job.settings
    return Run(
        filter=job.filter,
        settings=settings,
        accelerator=job.accelerator,
        plain=trained.plain,
        model=trained.model,
        optimizer=trained.optimizer,
        names=trained.names,
        scheduler=trained.scheduler,
        encoder=articles.encoder,
        precision=job.precision,
        train=articles.train,
        val=articles.val,
        shown=articles.shown,
        loss_weights=loss_weights(job.filter, articles.train, settings.high_score_weight),
        lengths=articles.lengths,
        may_pad=pieces.may_pad,
        packed=pieces.packed,
        micro_tokens=pieces.micro_tokens,
        micro_articles=settings.batch_size,
        mega_batches=MEGA_BATCHES if pieces.bucketed else 1,
        total_steps=job.total_steps,
        flops=_flops(job, articles, pieces),
        selection=job.selection,
        facts=_with_peak(_facts(job, articles, pieces, identity["num_trainable_parameters"])),
        card=card_for(job.filter, settings, job.dataset),
        model_dir=model_dir,
        start=trained.start,
        identity=identity,
    )


def _choose(
    settings: TrainSettings, filter: Filter, processes: int, say: Say
) -> tuple[Decided, Choice]:
    """What the settings come to, and the method, said in a line.

    Raises:
        UserError: no method fits, or a package that it needs is not installed.
    """
    outputs = len(filter.dimensions)
    found = decide(settings, outputs, device=settings.device, processes=processes, say=say)
    choice = choose(found.shape, found.settings, found.target)
    asked = " (auto)" if settings.method == "auto" else ""
    extra = ", gradient checkpointing" if choice.checkpointing else ""
    digits = 1 if choice.fits else digits_apart(choice.memory.total, found.target.memory)
    need, there = gib(choice.memory.total, digits), found.target.room(digits)
    refuse_missing(choice.method)
    say(f"Method: {choice.method}{asked}{extra}; needs about {need}, there are {there}")
    if not choice.fits:
        say(f"It may not fit: {choice.why_not}")
    say_what_has_no_effect(settings, choice.method, say)
    return found, choice


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
        checkpoint_gradients(model)
    if choice.method != "full":
        model = add_adapters(model, settings)
    compute_head_in_float32(model)
    return model


@dataclass(frozen=True)
class _Trained:
    """The model, `plain` and as accelerate prepared it, with what changes its weights; `start` is
    how they were before the first step."""

    plain: Any
    model: Any
    optimizer: Any
    names: list[str]
    scheduler: Any
    start: StartingPoint


def _trained(job: _Job, plain: Any, articles: Articles, say: Say) -> _Trained:
    settings, accelerator = job.settings, job.accelerator
    start = StartingPoint.of(plain)
    if fits_first(settings):
        pad_token_id, split = articles.encoder.pad_token_id, articles.train.split
        device, precision = accelerator.device, job.precision
        fit_head_first(plain, split, settings, pad_token_id, device, precision, say)
    if settings.fsdp:
        shard(plain, int(accelerator.num_processes), accelerator.device)
    # Several processes exchange whole gradients, as torch makes them; a GPU's memory is fast.
    if accelerator.device.type == "cpu" and accelerator.num_processes == 1:
        add_where_tokens_occur(plain)
    optimizer, names = make_optimizer(plain, _head_names(plain, job.built), settings)
    scheduler = make_schedule(optimizer, settings, job.total_steps)
    prepared = accelerator.prepare(optimizer)
    model = plain if settings.fsdp else accelerator.prepare(plain)
    return _Trained(plain, model, prepared, names, scheduler, start)


def _head_names(plain: Any, built: Built) -> frozenset[str]:
    """Names, in the model that is trained, of the parameters that have the head's rate. A pooler
    that begins as the mean (docs/decisions/0015) is not new and has the base's."""
    copied = {name for name, _ in plain.named_parameters() if ".modules_to_save." in name}
    names = copied or built.head_names
    return frozenset(name for name in names if not (built.by_mean and ".pooler." in name))


def _flops(job: _Job, articles: Articles, pieces: Arrangement) -> float:
    """Model FLOPs of an epoch."""
    return job.settings.draws * train_flops(
        job.shape,
        articles.lengths,
        frozen_base=job.choice.method != "full",
        reads_one=pieces.packed and not job.choice.checkpointing,
    )


def _with_peak(facts: RunFacts) -> RunFacts:
    """The facts with the FLOP/s of all devices, where they are known."""
    one = peak_flops(facts.device, facts.precision)
    if one is None:
        return facts
    of = f"{facts.device_words}, {facts.precision}, {facts.threads} threads"
    return replace(facts, peak=Peak(one * facts.processes, of))


def _facts(job: _Job, articles: Articles, pieces: Arrangement, trained_parameters: int) -> RunFacts:
    asked = job.settings.warmup_steps
    return RunFacts(
        filter=job.filter,
        settings=job.settings,
        dataset_hashes=job.dataset.hashes,
        labelled_by=job.dataset.labelled_by,
        base_config_sha256=job.built.base_config_sha256,
        method=job.choice.method,
        gradient_checkpointing=job.choice.checkpointing,
        packed=pieces.packed,
        attention=job.built.attention,
        by_mean=job.built.by_mean,
        best_by=job.selection.by,
        processes=int(job.accelerator.num_processes),
        num_parameters=job.shape.parameters,
        num_trainable_parameters=trained_parameters,
        train_examples=len(articles.lengths),
        val_examples=len(articles.val.split),
        train_evaluated=len(articles.shown.split),
        cut_share=articles.train.split.cut_share,
        total_steps=job.total_steps,
        warmup_steps_used=warmup_used(asked, job.total_steps),
        micro_batch_tokens=pieces.micro_tokens,
        bucketed=pieces.bucketed,
        precision=job.precision,
        device=job.accelerator.device,
        threads=job.threads,
    )


def _identity(job: _Job, plain: Any, pieces: Arrangement) -> dict[str, Any]:
    """What a run that resumes this one must have too: all that decides its arithmetic."""
    return {
        "filter": job.filter.label,
        "settings": job.settings.deciding(),
        "method": job.choice.method,
        "gradient_checkpointing": job.choice.checkpointing,
        "attention": job.built.attention,
        "packed": pieces.packed,
        "head_reads_mean": job.built.by_mean,
        "num_trainable_parameters": sum(p.numel() for p in plain.parameters() if p.requires_grad),
        "processes": int(job.accelerator.num_processes),
        "device_type": job.accelerator.device.type,
        "base_config_sha256": job.built.base_config_sha256,
        "first_weights_sha256": _fingerprint(plain),
        "dimensions_sha256": job.filter.dimensions_sha256,
        "text_view_sha256": job.filter.text_view_sha256,
        **job.dataset.hashes,
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
