"""`distillery doctor`: is everything here that the work needs?"""

from __future__ import annotations

from dataclasses import asdict

import typer

from distillery_core.cli.console import print_json, print_table
from distillery_core.cli.options import JsonOption
from distillery_core.cli.verb import single, verb

app = single()


@verb(app, "distillery doctor", "distillery doctor --json")
def doctor(json: JsonOption = False) -> None:
    """Look at Python, packages, plugins, oracles, folders, disk and device.

    Of a key only whether its variable is set is said. A broken plugin or a missing key is a note;
    exit code 1 when something that all work needs is missing.
    """
    from distillery_core.cli.health import examine
    from distillery_core.stages.project import open_project

    findings = examine(open_project().root)
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [(finding.mark, finding.topic, finding.detail) for finding in findings]
        print_table(("", "what", "detail"), rows)
    raise typer.Exit(1 if any(finding.mark == "FAIL" for finding in findings) else 0)
