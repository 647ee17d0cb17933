"""`distillery train`: train the student, or plan its training."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from distillery_core.cli import options
from distillery_core.cli.app import Interrupted
from distillery_core.cli.console import note, only_json, print_json, say
from distillery_core.cli.verb import single, verb
from distillery_core.cli.work import work
from distillery_core.errors import DistilleryError, UserError

app = single()

GO_ON_BELOW = 1.0
RETRAIN_ABOVE = 1.5
"""The seed's quick look after training (validation MAE); not a gate."""

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
    from distillery_core.stages.train import config_filter, is_main_process
    from distillery_core.stages.train import plan as plan_training
    from distillery_core.stages.train import train as train_student
    from distillery_core.student.launch import end_with_launcher

    processes = devices or 1
    several = processes > 1
    if several and plan:
        raise UserError("the plan is for one device", "--devices", "leave it out, with --plan")
    if usd_per_hour is not None and not plan:
        raise UserError("only the plan has a price", "--usd-per-hour", "give it with --plan")
    reference = filter or _named_by(config, config_filter)
    project, chosen = options.chosen_filter(reference)
    if output_dir is not None:
        options.refuse_unwritable(output_dir / "training_metadata.json")
    if several:
        with _told_how_to_go_on(project, chosen, output_dir, resume):
            _launch(ctx.obj, processes)
    overrides = options.given(
        method=method,
        model_name=model_name,
        epochs=epochs,
        batch_size=None if batch_size == AUTO else batch_size,
        fit_batch=True if batch_size == AUTO else None,
        accumulation=accumulation,
        micro_batch_tokens=tokens_per_batch,
        learning_rate=learning_rate,
        schedule=schedule,
        max_length=max_length,
        warmup_steps=warmup_steps,
        weight_decay=weight_decay,
        patience=patience,
        best_by=best_by,
        lora_rank=lora_rank,
        frozen_head=frozen_head,
        gradient_checkpointing=gradient_checkpointing,
        precision=precision,
        seed=seed,
        resume=resume,
        checkpoint_every=checkpoint_every,
        keep=keep,
        fsdp=fsdp or None,
        memory_limit_gib=memory_limit_gib,
        threads=threads,
    )
    if plan:
        with only_json(json):
            found = plan_training(
                project,
                chosen,
                device=device or AUTO,
                data_dir=data_dir,
                config=config,
                overrides=overrides,
                usd_per_hour=usd_per_hour,
                say=note,
            )
        _show_plan(found, json)
        return
    end_with_launcher()
    with (
        _one_voice(),
        _told_how_to_go_on(project, chosen, output_dir, resume),
        only_json(json),
        work("train") as task,
    ):
        result = train_student(
            project,
            chosen,
            data_dir=data_dir,
            output_dir=output_dir,
            config=config,
            overrides=overrides | options.given(device=device),
            mlflow=mlflow,
            progress=task.progress,
            say=task.say,
        )
    if not is_main_process():
        return
    if json:
        print_json({"model": str(result.model_dir)} | result.metadata)
        return
    say(f"{project.relative(result.model_dir)}: validation MAE {result.best_val_mae:.3f}")
    note(_advice(result.best_val_mae))
    note(f"  -> {_judged_by(reference, output_dir, data_dir)}")


def _judged_by(reference: str, output_dir: Path | None, data_dir: Path | None) -> str:
    """The command that judges this very model, on the data that it was trained with."""
    words = ["distillery", "evaluate", "--filter", reference]
    if output_dir is not None:
        words += ["--model-dir", str(output_dir / "model")]
    if data_dir is not None:
        words += ["--data-dir", str(data_dir)]
    return shlex.join(words)


@contextmanager
def _told_how_to_go_on(
    project: Any, filter: Any, output_dir: Path | None, resumed: str | None
) -> Iterator[None]:
    """Ctrl-C in the block says whether there is a checkpoint to go on from."""
    from distillery_core.stages.training_folders import checkpoint_since

    began = time.time()
    try:
        yield
    except KeyboardInterrupt as error:
        written = checkpoint_since(project, filter, output_dir, began)
        if written is not None:
            how = f"--resume goes on from the last checkpoint, {project.relative(written)}"
        elif resumed:
            how = "the same command goes on from the checkpoint that it began with"
        else:
            how = "there is no checkpoint yet, the same command begins anew"
        raise Interrupted(how) from error


@contextmanager
def _one_voice() -> Iterator[None]:
    """Of several processes with the same error the first one prints it."""
    from distillery_core.student.launch import let_the_first_speak

    try:
        yield
    except (DistilleryError, Interrupted):
        let_the_first_speak()
        raise


def _named_by(config: Path | None, config_filter: Any) -> str:
    if config is None:
        raise UserError("name the filter", where="--filter", hint="--filter NAME, or --config FILE")
    found: str = config_filter(config)
    return found


def _show_plan(found: Any, as_json: bool) -> None:
    from distillery_core.student.plan_text import plan_json, plan_lines

    if as_json:
        print_json(plan_json(found))
        return
    for line in plan_lines(found):
        say(line)


def _launch(arguments: list[str], processes: int) -> None:
    """Start the same command once a device; ends with its exit code."""
    from distillery_core.student.launch import launch

    kept: list[str] = []
    for word in arguments:
        follows = bool(kept) and kept[-1] == "--devices"
        if follows:
            kept.pop()
        elif not word.startswith("--devices="):
            kept.append(word)
    raise typer.Exit(launch(["train", *kept], processes))


def _advice(mae: float) -> str:
    if mae < GO_ON_BELOW:
        return f"below {GO_ON_BELOW}: go on"
    if mae <= RETRAIN_ABOVE:
        return f"between {GO_ON_BELOW} and {RETRAIN_ABOVE}: go on with care"
    return f"above {RETRAIN_ABOVE}: train again first (more epochs, more labels, a larger base)"
