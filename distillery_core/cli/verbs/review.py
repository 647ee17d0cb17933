"""`distillery review`: a person judges the articles of a sample, blind."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distillery_core.cli import options
from distillery_core.cli.console import note, one_line, only_json, print_json, say
from distillery_core.cli.verb import single, verb
from distillery_core.errors import UserError

if TYPE_CHECKING:
    from distillery_core.stages.review import Review, Which

app = single()


@verb(
    app,
    "distillery review --filter uplifting --name Ana",
    "distillery review --filter uplifting --name Ana --page --scores",
    "distillery review --filter uplifting --export sample.csv",
    "distillery review --filter uplifting --import sample.csv --name Ana",
)
def review(
    filter: options.FilterOption,
    sample: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Any file of articles; default: the round's sample."),
    ] = None,
    validate: Annotated[
        bool, typer.Option("--validate", help="The sample of the validation round.")
    ] = False,
    test: Annotated[
        bool, typer.Option("--test", help="The test split, to compare student and person.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who judges; default: your login name.")
    ] = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Ask for a score of each dimension too.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Show articles you have judged before as well.")
    ] = False,
    page: Annotated[
        bool, typer.Option("--page", help="On a web page of this machine, not the terminal.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE.csv", help="Write the sample as CSV, and stop."),
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option("--import", metavar="FILE.csv", help="Take judgements from CSV, and stop."),
    ] = None,
    json: options.JsonOption = False,
) -> None:
    """Show a sample's articles one by one and store a person's class, and scores if wished.

    What the oracle said of an article is shown only after it was judged. Judgements lie in
    judgements.jsonl beside the filter; the next `distillery calibrate` counts with them. The same
    command goes on where it stopped.
    """
    from distillery_core.stages.review import open_review

    which = _which(sample, validate, test)
    if sum((page, export is not None, import_ is not None)) > 1:
        raise UserError("one of --page, --export and --import at a time", where="--page")
    project, chosen = options.chosen_filter(filter)
    target = options.output_file(export)
    opened = open_review(project, chosen, name=name or _login(), which=which, sample=sample)
    _tell_of_bad_rows(opened)
    with only_json(json):
        if target is not None:
            _export(opened, target)
        elif import_ is not None:
            _import(opened, import_)
        else:
            _judge(opened, page=page, scores=scores, again=again)
    if json:
        print_json(_facts(opened))
        return
    if target is None:
        _print(opened, filter, which, project.relative(opened.path))


def _which(sample: Path | None, validate: bool, test: bool) -> Which:
    if sum((sample is not None, validate, test)) > 1:
        raise UserError("one of --sample, --validate and --test at a time", where="--sample")
    return "test" if test else "validation" if validate else "calibration"


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        raise UserError("who judges?", where="--name", hint="--name NAME") from None


def _tell_of_bad_rows(opened: Review) -> None:
    if opened.unreadable:
        note(f"{opened.unreadable} rows of {opened.sample} are no articles, left out")
    for problem in opened.people.problems:
        note(f"{problem}; this judgement does not count")


def _judge(opened: Review, *, page: bool, scores: bool, again: bool) -> None:
    if page:
        from distillery_core.stages.review_page import serve

        serve(opened, scores=scores, again=again, say=note)
        return
    from distillery_core.cli.review_terminal import Conversation, ask_on_terminal

    Conversation(opened, ask_on_terminal, note, scores=scores, again=again).run()


def _export(opened: Review, target: Path) -> None:
    from distillery_core.stages.review import export_table

    rows = export_table(opened, target)
    say(f"{target}: {rows} rows; fill in class, and scores if you like, then take it in again")
    note(f"  -> distillery review --filter {opened.filter.label} --import {target} --name NAME")


def _import(opened: Review, path: Path) -> None:
    from distillery_core.stages.review import import_table

    found = import_table(opened, path)
    say(f"{path}: {found.taken} judgements taken, {found.unchanged} known already")


def _facts(opened: Review) -> dict[str, object]:
    return {
        "sample": str(opened.sample),
        "judgements": str(opened.path),
        "name": opened.name,
        "articles": len(opened),
        "judged": opened.judged,
        "disagreements": {one.id: dict(one.votes) for one in opened.disagreements()},
        "problems": list(opened.people.problems),
    }


def _print(opened: Review, filter: str, which: Which, path: str) -> None:
    left = len(opened) - opened.judged
    say(f"{path}: {opened.judged} of {len(opened)} articles judged by {opened.name}, {left} left")
    for one in opened.disagreements():
        votes = ", ".join(f"{name} {class_name}" for name, class_name in one.votes.items())
        say(f"  people disagree on {one_line(one.id, 40)}: {one_line(votes, 200)}")
    if left:
        note("  -> the same command goes on from here")
    elif which == "test":
        note(f"  -> distillery evaluate --filter {filter}")
    else:
        option = " --validate" if which == "validation" else ""
        note(f"  -> distillery calibrate --filter {filter}{option}")
