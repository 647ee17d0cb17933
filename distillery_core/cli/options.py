"""Options that several verbs share, so that a flag means the same everywhere."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery_core.errors import UserError

if TYPE_CHECKING:
    from distillery_core.filters import Filter
    from distillery_core.stages.project import Project
    from distillery_core.stages.sample import SampleWish

FilterOption = Annotated[
    str,
    typer.Option(
        "--filter", metavar="NAME[:vN]|PATH", help="The filter, by name, version or folder."
    ),
]
InputOption = Annotated[
    Path,
    typer.Option(
        "--input",
        "--source",
        metavar="FILE",
        help="Articles as JSONL, also .gz: id, title, content.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and only JSON, to stdout.")]
OracleOption = Annotated[
    str | None,
    typer.Option(
        "--oracle",
        "--llm",
        metavar="NAME",
        help="An oracle of oracles.yaml; default: the one the filter names.",
    ),
]
ConcurrencyOption = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        "--concurrency",
        min=1,
        help="Calls in flight at a time; default: what the oracle's entry says.",
    ),
]
BudgetOption = Annotated[
    float | None,
    typer.Option("--budget", metavar="USD", min=0.0, help="Hard cap: no call is made beyond it."),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask, whatever is projected.")]
AskAboveOption = Annotated[
    float,
    typer.Option(
        "--ask-above", metavar="USD", min=0.0, help="Ask when it may cost more than this."
    ),
]
MAX_BAD = typer.Option(
    "--max-bad",
    min=0.0,
    max=1.0,
    metavar="SHARE",
    help="Share of unusable rows above which the exit code is 1.",
)
MaxBadOption = Annotated[float, MAX_BAD]
PositiveOption = Annotated[
    int | None,
    typer.Option("--n-positive", min=0, help="On-topic articles; default: the filter's."),
]
NegativeOption = Annotated[
    int | None,
    typer.Option("--n-negative", min=0, help="Off-topic articles; default: the filter's."),
]
EdgeOption = Annotated[
    int | None, typer.Option("--n-edge", min=0, help="Edge cases; default: the filter's.")
]
RandomSeedOption = Annotated[
    int | None, typer.Option(help="Another seed draws other articles; default: the filter's.")
]
ClassesOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Reviewed classes as JSONL: id, class, reason.")
]
EmbeddingModelOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Base model that compares articles with seed sentences."),
]
MoreSamplesOption = Annotated[
    bool, typer.Option("--more-samples", help="Let samples of this filter go beyond 400 articles.")
]
READ = typer.Option(
    "--read/--no-read", help="Let the oracle read the worst cases; it can only lower a verdict."
)
ReadOption = Annotated[bool, READ]
PROBES = typer.Option("--probes/--no-probes", help="Try known attacks on the oracle.")


ModelNameOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Base model: hub id, folder, or package:NAME/FOLDER."),
]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Passes over the articles.")]
TrainBatchOption = Annotated[
    int | None, typer.Option("--batch-size", min=1, help="Articles per training step.")
]
LearningRateOption = Annotated[
    float | None, typer.Option(metavar="RATE", help="Peak rate of the base model's weights.")
]
MaxLengthOption = Annotated[int | None, typer.Option(min=16, help="Tokens read of an article.")]
WarmupOption = Annotated[
    int | None, typer.Option(min=0, help="Warm-up; at most 10 % of all steps are used.")
]
SeedOption = Annotated[int | None, typer.Option(min=0, help="Of first weights, order and dropout.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads, at most one a core.")]
MLFLOW = typer.Option("--mlflow/--no-mlflow", help="Record parameters, metrics, reports in MLflow.")
MlflowOption = Annotated[bool, MLFLOW]


def sample_wish(
    n_positive: int | None,
    n_negative: int | None,
    n_edge: int | None,
    random_seed: int | None,
    classes: Path | None,
    embedding_model: str | None,
) -> SampleWish:
    """What sample the options ask for."""
    return {
        "n_positive": n_positive,
        "n_negative": n_negative,
        "n_edge": n_edge,
        "random_seed": random_seed,
        "classes": classes,
        "embedding_model": embedding_model,
    }


def given(**settings: Any) -> dict[str, Any]:
    """The settings that were given on the command line."""
    return {name: value for name, value in settings.items() if value is not None}


def chosen_filter(reference: str) -> tuple[Project, Filter]:
    """The filter that `--filter` names, and its project: the working directory's, or the one that
    a PATH lies in.

    Raises:
        UserError: no such filter, or every mistake of its files.
    """
    from distillery_core.filters import resolve_filter
    from distillery_core.stages.project import project_of

    project = project_of(reference)
    return project, resolve_filter(reference, project.root)


def output_file(path: Path | None) -> Path | None:
    """The path, refused now rather than after the work when it cannot be written.

    Raises:
        UserError: it is a folder or a device, or no file can be made there.
    """
    if path is None:
        return None
    if path.is_dir():
        raise UserError("is a folder, --output names a file", where=path)
    if path.exists() and not path.is_file():
        # Results are renamed into place, which would put a file where the device was.
        raise UserError("is no ordinary file, nothing can be written to it", where=path)
    refuse_unwritable(path)
    return path


def refuse_unwritable(path: Path) -> None:
    """Raise a UserError when no file can be made at `path`.

    A nameless file is tried in the nearest folder that exists: permission bits alone say nothing
    about a read-only or full disk, nor to root.
    """
    folder = next(above for above in path.absolute().parents if above.exists())
    if not folder.is_dir():
        raise UserError("is no folder, nothing can be written below it", where=folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"cannot be written: {os.strerror(error.errno or 0).lower()}",
            where=path,
            hint="make it writable, or name another place",
        ) from None
