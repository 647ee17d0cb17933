"""`distillery promote`: choose the version that `score` uses; `--rollback` takes the one before."""

from __future__ import annotations

from typing import Annotated

import typer

from distillery_core.cli.console import note, print_json, say
from distillery_core.cli.options import MLFLOW, FilterOption, JsonOption, chosen_filter
from distillery_core.cli.verb import single, verb

app = single()


@verb(
    app,
    "distillery promote --filter uplifting:v2",
    "distillery promote --filter uplifting --rollback",
)
def promote(
    filter: FilterOption,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the version promoted before.")
    ] = False,
    who: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who promotes; default: your login name.")
    ] = None,
    mlflow: Annotated[bool, MLFLOW] = True,
    json: JsonOption = False,
) -> None:
    """Make a version the one that `distillery score` uses; needs its evaluation gate open.

    Where runs are tracked in MLflow, the model gets the alias `production` in its registry; where
    the project uses ZenML, it is in production in its model control plane.
    """
    import distillery_core.stages.promote as stage
    from distillery_core.pipelines.stage import show_stage

    project, chosen = chosen_filter(filter)
    if rollback:
        promotion = stage.rollback(project, chosen.name, who=who, mlflow=mlflow)
    else:
        promotion = stage.promote(project, chosen, who=who, mlflow=mlflow)
    show_stage(project.root, chosen.name, promotion)
    if json:
        print_json(promotion.model_dump())
        return
    verb_done = "rolled back to" if rollback else "promoted"
    say(f"{chosen.name}: {verb_done} v{promotion.version}, model {promotion.model_sha256[:12]}")
    note(
        f"  -> distillery score --filter {chosen.name} --input articles.jsonl --output scores.jsonl"
    )
