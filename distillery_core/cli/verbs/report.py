"""`distillery report open|pr|plots|docx`: what the reports say, where it is read."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distillery_core.cli.console import note, only_json, print_json, say
from distillery_core.cli.options import JsonOption, chosen_filter, output_file
from distillery_core.cli.verb import family, verb
from distillery_core.errors import UserError

if TYPE_CHECKING:
    from distillery_core.filters import Filter
    from distillery_core.stages.project import Project
    from distillery_core.stages.report_training import WrittenReport

app = family("Show a filter's reports: in a browser, in a pull request, as plots, as a document.")

SomeFilter = Annotated[
    str | None,
    typer.Option(
        "--filter", metavar="NAME[:vN]|PATH", help="The filter; default: the only one with reports."
    ),
]


@verb(
    app,
    "distillery report open --filter uplifting",
    "distillery report open --filter uplifting --no-browser --output uplifting.html",
    name="open",
)
def open_page(
    filter: SomeFilter = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Default: reports/<filter>/report.html."),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open it, or only say where it is.")
    ] = True,
) -> None:
    """Write a filter's reports as one HTML page that holds everything, and open it.

    The page fetches nothing: it can be sent, kept and read without this program.
    """
    from distillery_core.stages.report import write_page

    project, chosen = _chosen(filter)
    path = write_page(project, chosen, output_file(output))
    say(project.relative(path))
    if browser and not webbrowser.open(path.resolve().as_uri()):
        note("  no browser was found; open the file above in one")


@verb(
    app,
    "distillery report pr --base origin/main --output comment.md --json result.json",
    "distillery report pr --filter uplifting",
)
def pr(
    filter: Annotated[
        str | None,
        typer.Option(
            "--filter", metavar="NAME[:vN]|PATH", help="Only this one; default: what changed."
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="REF|FOLDER", help="What to compare with; without it every report is told."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="The comment; default: printed."),
    ] = None,
    result: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="The result of the check, for a machine."),
    ] = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Add it to the job's page: $GITHUB_STEP_SUMMARY.")
    ] = False,
) -> None:
    """Write the comment of a pull request: verdicts, what moved, cost, what an approval means.

    Every report is decided again from its numbers. Exit code 1 when one is a FAIL, edited, stale or
    not readable; a REVIEW that waits for an approval is told, with exit code 0.
    """
    from distillery_core.files import write_json, write_text
    from distillery_core.reports.comment import check_result, render_comment
    from distillery_core.stages.project import open_project
    from distillery_core.stages.pull_request import review

    for path in (output, result):
        output_file(path)
    project, chosen = chosen_filter(filter) if filter else (open_project(), None)
    found = review(project, base, chosen)
    comment = render_comment(found)
    if output is None:
        say(comment)
    else:
        write_text(output, comment)
    if result is not None:
        write_json(result, check_result(found))
    if summary:
        _add_to_summary(comment)
    note(f"{found.conclusion}: {found.title}")
    raise typer.Exit(1 if found.conclusion == "failure" else 0)


TrainedFilter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="NAME[:vN]|PATH",
        help="The filter; default: that of --history, else the only trained one.",
    ),
]
HistoryOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Default: the filter's training_history.json."),
]
MetadataOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Default: training_metadata.json beside the history."),
]


@verb(
    app,
    "distillery report plots --filter uplifting",
    "distillery report plots --history filters/uplifting/v1/training_history.json",
)
def plots(
    filter: TrainedFilter = None,
    history: HistoryOption = None,
    metadata: MetadataOption = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Default: reports/<filter>_<version>_plots."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Draw a training run as PNG files, with a summary of its numbers as text.

    Learning curves come from the history; predictions against labels, the error in each label band
    and the calibration curve from the evaluation, where it is of this model.
    """
    from distillery_core.stages.report_training import plot_training

    project, chosen = _maybe_chosen(filter, history)
    with only_json(json):
        written = plot_training(
            project, chosen, history=history, metadata=metadata, output_dir=output_dir
        )
    _print_written(project, written, json)


@verb(
    app,
    "distillery report docx --filter uplifting",
    "distillery report docx --filter filters/uplifting/v1"
    " --history filters/uplifting/v1/training_history.json"
    " --metadata filters/uplifting/v1/training_metadata.json",
)
def docx(
    filter: TrainedFilter = None,
    history: HistoryOption = None,
    metadata: MetadataOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Default: reports/<filter>_<version>_training_report.docx."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write the training report as a Word document: summary, method, results, conclusions.

    It holds the plots of `report plots`, and no number that the run and its evaluation did not
    write. Needs the extra `docx`: pip install "distillery-core[docx]".
    """
    from distillery_core.stages.report_training import write_training_report

    project, chosen = _maybe_chosen(filter, history)
    with only_json(json):
        written = write_training_report(
            project, chosen, history=history, metadata=metadata, output=output_file(output)
        )
    _print_written(project, written, json)


def _maybe_chosen(reference: str | None, history: Path | None) -> tuple[Project, Filter | None]:
    """The filter that is named; None where the history, or the project, has to say it."""
    from distillery_core.stages.project import open_project, project_of

    if reference is not None:
        return chosen_filter(reference)
    return (open_project() if history is None else project_of(str(history.parent))), None


def _print_written(project: Project, written: WrittenReport, json: bool) -> None:
    files = [project.relative(path) for path in written.files]
    if json:
        print_json({"files": files, "not_shown": list(written.missing)})
        return
    for name in files:
        say(name)
    for line in written.missing:
        note(f"  not shown: {line}")


def _add_to_summary(comment: str) -> None:
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        raise UserError("GITHUB_STEP_SUMMARY is not set", where="--summary", hint="leave it out")
    with Path(path).open("a", encoding="utf-8") as handle:
        handle.write(f"{comment}\n")


def _chosen(reference: str | None) -> tuple[Project, Filter]:
    from distillery_core.stages.project import open_project
    from distillery_core.stages.report import only_filter

    if reference is not None:
        return chosen_filter(reference)
    project = open_project()
    return project, only_filter(project)
