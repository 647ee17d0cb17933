"""`distillery train`: fine-tune the student."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distillery_core.cli import options
from distillery_core.cli.console import note, only_json, print_json, say
from distillery_core.cli.verb import single, verb
from distillery_core.cli.work import work

app = single()

GO_ON_BELOW = 1.0
RETRAIN_ABOVE = 1.5
"""The seed's quick look after training (validation MAE); not a gate."""


@verb(
    app,
    "distillery train --filter uplifting",
    "distillery train --filter filters/uplifting/v1 --data-dir datasets/training/uplifting \\",
    "    --output-dir filters/uplifting/v1 --model-name Qwen/Qwen2.5-7B \\",
    "    --epochs 3 --batch-size 8 --learning-rate 2e-5",
)
def train(
    filter: options.FilterOption,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: datasets/training/<filter>.")
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: the filter's own folder.")
    ] = None,
    model_name: options.ModelNameOption = None,
    epochs: options.EpochsOption = None,
    batch_size: options.TrainBatchOption = None,
    learning_rate: options.LearningRateOption = None,
    max_length: options.MaxLengthOption = None,
    warmup_steps: options.WarmupOption = None,
    weight_decay: Annotated[float | None, typer.Option(min=0.0, help="Of AdamW.")] = None,
    seed: options.SeedOption = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda", help="Where to compute.")
    ] = None,
    threads: options.ThreadsOption = None,
    mlflow: options.MlflowOption = True,
    json: options.JsonOption = False,
) -> None:
    """Fine-tune the student and keep the epoch with the lowest validation MAE.

    What is not given comes from the filter's config. Writes model/, training_history.json and
    training_metadata.json.
    """
    from distillery_core.stages.train import train as fine_tune

    project, chosen = options.chosen_filter(filter)
    if output_dir is not None:
        options.refuse_unwritable(output_dir / "training_metadata.json")
    overrides = options.given(
        model_name=model_name,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        max_length=max_length,
        warmup_steps=warmup_steps,
        weight_decay=weight_decay,
        seed=seed,
        device=device,
        threads=threads,
    )
    with only_json(json), work("train") as task:
        result = fine_tune(
            project,
            chosen,
            data_dir=data_dir,
            output_dir=output_dir,
            overrides=overrides,
            mlflow=mlflow,
            progress=task.progress,
            say=task.say,
        )
    if json:
        print_json({"model": str(result.model_dir)} | result.metadata)
        return
    say(f"{project.relative(result.model_dir)}: validation MAE {result.best_val_mae:.3f}")
    note(_advice(result.best_val_mae))
    note(f"  -> distillery evaluate --filter {filter}")


def _advice(mae: float) -> str:
    if mae < GO_ON_BELOW:
        return f"below {GO_ON_BELOW}: go on"
    if mae <= RETRAIN_ABOVE:
        return f"between {GO_ON_BELOW} and {RETRAIN_ABOVE}: go on with care"
    return f"above {RETRAIN_ABOVE}: train again first (more epochs, more labels, a larger base)"
