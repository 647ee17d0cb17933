"""`distillery agreement`: how far oracles, people or repeats agree about the same articles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distillery_core.cli import options
from distillery_core.cli.console import only_json, print_json, say
from distillery_core.cli.verb import single, verb
from distillery_core.errors import UserError

if TYPE_CHECKING:
    from distillery_core.stages.agreement import Compared

app = single()


@verb(
    app,
    "distillery agreement labelled_a.jsonl labelled_b.jsonl --filter uplifting",
    "distillery agreement ratings.csv --reference ana --output agreement.md",
)
def agreement(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Labelled files of the same articles; one with several answers an article; or "
            "one table of ratings (CSV, JSONL): id, rater, a score for each dimension.",
        ),
    ],
    filter: Annotated[
        str | None,
        typer.Option(
            "--filter", metavar="NAME[:vN]|PATH", help="Whose labels they are; a table needs none."
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="RATER", help="Compare all others with this one, e.g. a person."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the report here.")
    ] = None,
    json: options.JsonOption = False,
) -> None:
    """Bias and noise of each rater, Krippendorff's alpha and ICC, with intervals.

    Markdown goes to stdout, or to --output.
    """
    from distillery_core.files import write_text
    from distillery_core.stages.agreement import compare_files

    target = options.output_file(output)
    if target is not None and any(_same(target, path) for path in files):
        raise UserError("input and output are the same file", where=target)
    chosen = options.chosen_filter(filter)[1] if filter else None
    with only_json(json):
        found = compare_files(files, chosen, reference=reference)
    if target is not None:
        write_text(target, found.markdown())
    if json:
        print_json(found.to_json())
    elif target is not None:
        say(f"{target}: written")
        for line in _lines(found):
            say(line)
    else:
        say(found.markdown().rstrip())


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _lines(found: Compared) -> list[str]:
    """One line a dimension: alpha, and the noise floor where it is known."""
    measured = found.agreement
    floor = measured.floor.label if measured.floor else {}
    return [
        f"{name}: alpha {one.alpha.value:.2f} ({one.alpha.low:.2f} to {one.alpha.high:.2f})"
        + (f", noise floor {floor[name]:.2f}" if name in floor else "")
        for name, one in measured.together.items()
    ]
