"""`distillery train`: train the student, or plan its training."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from distillery_core.cli import options
from distillery_core.cli.console import note, only_json, print_json, say
from distillery_core.cli.training_run import launch_train, one_voice, told_how_to_go_on
from distillery_core.cli.verb import single, verb
from distillery_core.cli.work import work
from distillery_core.errors import UserError

if TYPE_CHECKING:
    from distillery_core.filters import Filter
    from distillery_core.stages.project import Project
    from distillery_core.student.result import TrainResult

app = single()

AUTO = "auto"
NEWEST = "newest"


class TrainCommand(TyperCommand):
    """`--resume` may stand without a path; the arguments are kept for `--devices`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Fill in what `--resume` leaves out."""
        ctx.obj = list(args)
        filled: list[str] = []
        for at, word in enumerate(args):
            filled.append(word)
            last = at + 1 == len(args)
            if word == "--resume" and (last or args[at + 1].startswith("-")):
                filled.append(NEWEST)
        return super().parse_args(ctx, filled)


def _batch_size(text: str) -> int | str:
    if text == AUTO:
        return text
    if not text.isdigit() or int(text) < 1:
        raise typer.BadParameter("a number from 1, or auto")
    return int(text)


@verb(
    app,
    "distillery train --filter uplifting",
    "distillery train --filter uplifting --plan --device 'RTX 4090'",
    "distillery train --config training/configs/uplifting_v1.yaml --resume",
    "distillery train --filter filters/uplifting/v1 --data-dir datasets/training/uplifting \\",
    "    --output-dir filters/uplifting/v1 --model-name Qwen/Qwen2.5-7B \\",
    "    --epochs 3 --batch-size 8 --learning-rate 2e-5",
    cls=TrainCommand,
)
def train(
    ctx: typer.Context,
    filter: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="NAME[:vN]|PATH",
            help="The filter; default: the one that --config names.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A training config; options win over it.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: datasets/training/<filter>.")
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: the filter's own folder.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what fits the device, how long, what it costs.")
    ] = False,
    usd_per_hour: Annotated[
        float | None,
        typer.Option(help="With --plan: what the device costs; default: a typical rent."),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="auto|full|lora|qlora|frozen",
            help="auto: the first of full, lora, qlora that fits; frozen: only a head.",
        ),
    ] = None,
    model_name: options.ModelNameOption = None,
    epochs: options.EpochsOption = None,
    batch_size: Annotated[
        Any,
        typer.Option(
            parser=_batch_size,
            metavar="N|auto",
            help="Articles of a batch; auto: as many at a time as fit, the steps stay the same.",
        ),
    ] = None,
    accumulation: Annotated[
        int | None,
        typer.Option(
            "--accumulation",
            "--gradient-accumulation-steps",
            min=1,
            help="Batches per training step.",
        ),
    ] = None,
    tokens_per_batch: Annotated[
        int | None, typer.Option(min=0, help="Tokens computed at a time, padding counted.")
    ] = None,
    learning_rate: options.LearningRateOption = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="linear|cosine", help="How the rate falls.")
    ] = None,
    max_length: options.MaxLengthOption = None,
    warmup_steps: options.WarmupOption = None,
    weight_decay: Annotated[float | None, typer.Option(min=0.0, help="Of AdamW.")] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many epochs without a better one.")
    ] = None,
    best_by: Annotated[
        str | None,
        typer.Option(
            metavar="auto|mae|spearman|recall",
            help="What the kept epoch is chosen by; auto: spearman for needle filters, else mae.",
        ),
    ] = None,
    lora_rank: Annotated[int | None, typer.Option(min=1, help="Rank of the adapters.")] = None,
    frozen_head: Annotated[
        str | None, typer.Option(metavar="ridge|mlp", help="Head on a frozen base.")
    ] = None,
    gradient_checkpointing: Annotated[
        bool | None,
        typer.Option(
            "--gradient-checkpointing/--no-gradient-checkpointing",
            help="Compute activations again, not keep them; default: where nothing else fits.",
        ),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="auto|float32|bf16", help="Of the training arithmetic.")
    ] = None,
    seed: options.SeedOption = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="[PATH]", help="Go on from a checkpoint; without PATH the newest."),
    ] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints, beside every epoch's.")
    ] = None,
    keep: Annotated[int | None, typer.Option(min=1, help="Checkpoints that are kept.")] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="auto|cpu|cuda", help="Where to compute; with --plan also a card."),
    ] = None,
    devices: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the run, one a GPU.")
    ] = None,
    fsdp: Annotated[
        bool, typer.Option("--fsdp", help="With several GPUs: share the weights, too.")
    ] = False,
    memory_limit_gib: Annotated[
        float | None,
        typer.Option(
            help="Memory to count on; default: what the device has, or a container leaves."
        ),
    ] = None,
    threads: options.ThreadsOption = None,
    mlflow: options.MlflowOption = True,
    json: options.JsonOption = False,
) -> None:
    """Train the student and keep the epoch that is best on validation.

    What is not given comes from --config, then from the filter's config. Writes model/,
    training_history.json, training_metadata.json and training_config.yaml; checkpoints to resume
    from go to training/checkpoints/<filter>_<version>/, with another --output-dir to a folder of
    their own in there.
    """
    from distillery_core.stages.quick_look import quick_look
    from distillery_core.stages.train import is_main_process
    from distillery_core.stages.train import train as train_student

    processes = devices or 1
    if usd_per_hour is not None and not plan:
        raise UserError("only the plan has a price", "--usd-per-hour", "give it with --plan")
    reference = filter or _named_by(config)
    project, chosen = options.chosen_filter(reference)
    if output_dir is not None:
        options.refuse_unwritable(output_dir / "training_metadata.json")
    asked = _settings_in(ctx.params)
    if plan:
        _plan(project, chosen, data_dir, config, asked, processes, usd_per_hour, json)
        return
    if processes > 1:
        with told_how_to_go_on(project, chosen, output_dir, resume):
            raise typer.Exit(launch_train(ctx.obj, processes))
    with (
        one_voice(),
        told_how_to_go_on(project, chosen, output_dir, resume),
        only_json(json),
        work("train") as task,
    ):
        result = train_student(
            project,
            chosen,
            data_dir=data_dir,
            output_dir=output_dir,
            config=config,
            overrides=asked,
            mlflow=mlflow,
            progress=task.progress,
            say=task.say,
        )
    if not is_main_process():
        return
    if json:
        print_json({"model": str(result.model_dir)} | result.metadata)
        return
    look = quick_look(project, chosen, result, data_dir)
    say(f"{project.relative(result.model_dir)}: {look.figures}")
    note(look.advice(_what_may_help(result)))
    note(f"  -> {_judged_by(reference, output_dir, data_dir)}")


def _settings_in(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that were given: most options have the name of theirs."""
    from distillery_core.student.settings import TrainSettings

    settings = {field.name: given.get(field.name) for field in fields(TrainSettings)}
    fits = given["batch_size"] == AUTO
    settings["batch_size"] = None if fits else given["batch_size"]
    settings["fit_batch"] = fits or None
    settings["fsdp"] = given["fsdp"] or None
    settings["micro_batch_tokens"] = given["tokens_per_batch"]
    return options.given(**settings)


def _plan(
    project: Project,
    filter: Filter,
    data_dir: Path | None,
    config: Path | None,
    asked: dict[str, Any],
    devices: int,
    usd_per_hour: float | None,
    as_json: bool,
) -> None:
    """Print the plan; its device may be the name of a card, which is none to train on."""
    from distillery_core.stages.train import plan
    from distillery_core.student.planning.plan_text import plan_json, plan_lines

    device = asked.pop("device", AUTO)
    with only_json(as_json):
        found = plan(
            project,
            filter,
            device=device,
            devices=devices,
            data_dir=data_dir,
            config=config,
            overrides=asked,
            usd_per_hour=usd_per_hour,
            say=note,
        )
    if as_json:
        print_json(plan_json(found))
        return
    for line in plan_lines(found):
        say(line)


def _judged_by(reference: str, output_dir: Path | None, data_dir: Path | None) -> str:
    """The command that judges this very model, on the data that it was trained with."""
    words = ["distillery", "evaluate", "--filter", reference]
    if output_dir is not None:
        words += ["--model-dir", str(output_dir / "model")]
    if data_dir is not None:
        words += ["--data-dir", str(data_dir)]
    return shlex.join(words)


def _named_by(config: Path | None) -> str:
    from distillery_core.stages.train import config_filter

    if config is None:
        raise UserError("name the filter", where="--filter", hint="--filter NAME, or --config FILE")
    return config_filter(config)


def _what_may_help(result: TrainResult) -> str:
    """A frozen base is read once: more epochs are nothing to it, but its MLP head is fitted in
    some. Where a later epoch was no better than the kept one, more of them help nothing."""
    from distillery_core.student.recorded import frozen_head

    head = frozen_head(result.metadata)
    gained = all(epoch.is_best for epoch in result.history[-1:])
    if head is None:
        return f"{'more epochs, ' if gained else ''}more labels, a larger base"
    own = ", more head_epochs in a training config" if head == "mlp" and gained else ""
    return f"--method full or lora{own}, more labels, a larger base"
