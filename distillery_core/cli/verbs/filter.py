"""`distillery filter new|list|show|check`: the filters in sight."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery_core.cli.console import note, print_json, print_table, say
from distillery_core.cli.options import JsonOption, refuse_unwritable
from distillery_core.cli.verb import family, verb

if TYPE_CHECKING:
    from distillery_core.filters import Filter, FilterEntry
    from distillery_core.filters.package_check import GateLook, PackageCheck
    from distillery_core.stages.project import Project

app = family("Write, list, show and check filters.")

ReferenceArgument = Annotated[
    str, typer.Argument(metavar="NAME[:vN]|PATH", help="The filter, by name, version or folder.")
]


@verb(
    app,
    "distillery filter new local_news",
    "distillery filter new local_news --dimensions relevance,evidence,impact",
)
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case identifier.")],
    dimensions: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="What is scored; default: relevance, evidence, impact."),
    ] = None,
) -> None:
    """Start a filter of your own: a folder that loads as it is and says what to fill in."""
    from distillery_core.scaffold.new_filter import DEFAULT_DIMENSIONS, new_filter
    from distillery_core.stages.project import open_project

    project = open_project()
    refuse_unwritable(project.root / "filters" / name)
    names = [part.strip() for part in dimensions.split(",")] if dimensions else DEFAULT_DIMENSIONS
    made = new_filter(project.root, name, names)
    say(f"{project.relative(made.folder)}: written")
    note(f"  -> edit its config.yaml, then: distillery filter check {name}")


@verb(app, "distillery filter list", "distillery filter list --json", name="list")
def list_(json: JsonOption = False) -> None:
    """List every filter in sight and where it comes from; one that cannot be loaded says why."""
    from distillery_core.filters import list_filters
    from distillery_core.stages.project import open_project

    entries = list_filters(open_project().root)
    if json:
        print_json([_entry(entry) for entry in entries])
        return
    print_table(
        ("filter", "from", "state", "folder"),
        [(e.label, e.origin, "cannot be loaded" if e.error else "ok", e.folder) for e in entries],
    )
    for entry in entries:
        if entry.error:
            note(f"{entry.label}: {entry.error}")


@verb(app, "distillery filter show uplifting", "distillery filter show filters/uplifting/v1 --json")
def show(reference: ReferenceArgument, json: JsonOption = False) -> None:
    """Show a filter: dimensions with weights, tiers, rules, oracle, hashes."""
    from distillery_core.filters import resolve_filter
    from distillery_core.stages.project import open_project

    chosen = resolve_filter(reference, open_project().root)
    if not json:
        _print_filter(chosen)
        return
    config = chosen.config.model_dump(mode="json", by_alias=True)
    print_json(_facts(chosen) | {"config": config})


@verb(app, "distillery filter check uplifting", "distillery filter check crisis:v1 --json")
def check(reference: ReferenceArgument, json: JsonOption = False) -> None:
    """Check whether a filter is ready: configuration, prompt, README, calibration, examples.

    Exit code 0 only when READY.
    """
    from distillery_core.filters.package_check import READY, check_package
    from distillery_core.stages.project import open_project

    project = open_project()
    entry = _entry_of(reference, project.root)
    result = check_package(entry.folder, lambda loaded: _gate(project, loaded), entry.origin)
    if json:
        print_json(_check_facts(result))
    else:
        _print_check(result)
    raise typer.Exit(0 if result.word == READY else 1)


def _entry_of(reference: str, project: Path) -> FilterEntry:
    """The filter's folder, loaded or not: what cannot be loaded is a finding of the check."""
    from distillery_core.filters import FilterEntry, list_filters, resolve_filter

    named = [e for e in list_filters(project) if reference in (e.name, e.label)]
    if named:
        return max(named, key=lambda entry: entry.version)
    folder = Path(reference)
    if (folder / "config.yaml").is_file():
        return FilterEntry(folder.resolve().parent.name, 0, folder, "project")
    loaded = resolve_filter(reference, project)
    return FilterEntry(loaded.name, loaded.version, loaded.folder, loaded.origin)


def _gate(project: Project, loaded: Filter) -> GateLook:
    from distillery_core.filters.package_check import GateLook
    from distillery_core.stages.gates import calibration_gate
    from distillery_core.stages.oracles import choose_oracle, oracle_identity

    state = calibration_gate(
        project, loaded, oracle_identity(loaded, choose_oracle(project, loaded))
    )
    return GateLook(state.open, tuple(state.reasons))


def _entry(entry: FilterEntry) -> dict[str, Any]:
    return {
        "filter": entry.label,
        "name": entry.name,
        "version": entry.version,
        "folder": str(entry.folder),
        "origin": entry.origin,
        "error": entry.error,
    }


def _facts(filter: Filter) -> dict[str, Any]:
    return {
        "filter": filter.label,
        "folder": str(filter.folder),
        "origin": filter.origin,
        "dimensions": list(filter.dimensions),
        "prompt_sha256": filter.prompt_sha256,
        "text_view_sha256": filter.text_view_sha256,
        "scoring_sha256": filter.scoring_sha256,
        "digest": filter.digest,
    }


def _print_filter(filter: Filter) -> None:
    config = filter.config
    say(f"{filter.label}  {config.filter.description}")
    say(f"from     {filter.origin}, {filter.folder}")
    say(f"oracle   {config.oracle.name}")
    say(f"student  {config.training.model_name}")
    say(f"tiers    {', '.join(f'{tier.name} from {tier.at:g}' for tier in config.scoring.tiers)}")
    say(f"prompt   {filter.prompt_sha256}")
    say()
    rows = [
        (name, f"{d.weight:.2f}", d.description) for name, d in config.scoring.dimensions.items()
    ]
    print_table(("dimension", "weight", "description"), rows)
    for rule in config.scoring.gatekeepers:
        say(f"{rule.dimension} below {rule.below:g}: overall at most {rule.overall_at_most:g}")
    for cap in config.scoring.caps:
        say(f"{cap.name}: overall at most {cap.overall_at_most:g}")
    for penalty in config.scoring.penalties:
        say(f"{penalty.name}: overall less {penalty.subtract:g}")


def _check_facts(result: PackageCheck) -> dict[str, Any]:
    lines = [dataclasses.asdict(line) for line in result.lines]
    return {"folder": str(result.folder), "verdict": result.word, "lines": lines}


def _print_check(result: PackageCheck) -> None:
    say(f"{result.folder}: {result.word}")
    for line in result.lines:
        weight = "critical" if line.critical else "important"
        mark = "ok     " if line.passed else "missing"
        say(f"  {mark}  {weight:9}  {line.name}: {line.detail}")
