"""`distillery publish`: put a judged model on the model hub, verified by reading it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from distillery_core.cli.console import note, only_json, print_json, print_table, say
from distillery_core.cli.options import FilterOption, JsonOption, chosen_filter
from distillery_core.cli.results import facts
from distillery_core.cli.verb import single, verb

if TYPE_CHECKING:
    from distillery_core.stages.publish import Bundle

app = single()


@verb(
    app,
    "distillery publish --filter uplifting --repo-name ana/uplifting-filter-v1 --private"
    " --license apache-2.0",
    "distillery publish --filter uplifting:v2 --repo-name ana/uplifting-filter-v2 --dry-run"
    " --license cc-by-4.0",
)
def publish(
    filter: FilterOption,
    repo_name: Annotated[
        str, typer.Option(metavar="OWNER/NAME", help="The repository on the hub.")
    ],
    private: Annotated[
        bool | None,
        typer.Option(
            "--private/--public",
            help="Who may see it. Default: private, or as an existing repository is.",
        ),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="As the hub names it: apache-2.0. Default: the filter's."
        ),
    ] = None,
    license_name: Annotated[
        str, typer.Option(metavar="TEXT", help="With --license other: its name.")
    ] = "",
    license_link: Annotated[
        str, typer.Option(metavar="URL", help="With --license other: where it can be read.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would go up; nothing is sent.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Publish a model on the Hugging Face hub, with a card that tells how good it is.

    Only a model that its gate lets through, or that is promoted, goes up. It is downloaded again:
    every file must have its hash, and plain transformers must predict what `distillery score` does.
    The token is taken from HF_TOKEN or `hf auth login`; HF_ENDPOINT names another hub.
    """
    import distillery_core.stages.publish as stage

    project, chosen = chosen_filter(filter)
    wish = stage.PublishWish(repo_name, private, license, license_name, license_link)
    with only_json(json):
        bundle = stage.bundle(project, chosen, wish)
        for line in bundle.notes:
            note(f"  note: {line}")
        if not dry_run:
            done = stage.publish(project, wish, bundle, say=note)
    if dry_run:
        _show(bundle, repo_name, json)
        return
    if json:
        print_json(facts(done))
        return
    say(f"{done.url} ({'private' if done.private else 'public'}), commit {done.revision[:12]}")
    note(f"  read back: {len(done.files)} files, largest difference {done.largest_difference:.1g}")


def _show(bundle: Bundle, repo_name: str, json: bool) -> None:
    """The files with sizes and hashes, then the card."""
    hashes, sizes = bundle.sha256, bundle.sizes
    if json:
        files = {name: {"bytes": sizes[name], "sha256": hashes[name]} for name in sizes}
        print_json({"repo": repo_name, "files": files, "card": bundle.card})
        return
    rows = [(name, f"{size:,}", hashes[name][:16]) for name, size in sizes.items()]
    print_table(("file", "bytes", "SHA-256"), rows)
    say("")
    say(bundle.card)
    note(f"  nothing was sent to {repo_name}")
