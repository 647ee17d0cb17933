"""What is refused before anything starts, from tests/cases/cli/bad_input.yaml."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Run = Callable[..., Any]

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "cli" / "bad_input.yaml").read_text(encoding="utf-8")
)
TEXT = "The council agreed on Monday to build a bridge that people had asked for. " * 8


@pytest.fixture
def inputs(project: Path) -> Path:
    """The project with the files that the cases name."""
    rows = [{"id": str(n), "title": f"Title {n}", "content": f"{n} {TEXT}"} for n in range(3)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (project / "good.jsonl").write_text(lines, encoding="utf-8")
    (project / "empty.jsonl").write_text("", encoding="utf-8")
    (project / "broken.jsonl").write_text('{"id": 1\nnot json\n', encoding="utf-8")
    (project / "fake.jsonl.gz").write_text(lines, encoding="utf-8")
    (project / "folder").mkdir()
    (project / "filters" / "sustainability_tech_deployment" / "v1" / "model").mkdir()
    return project


def listing(folder: Path) -> set[str]:
    """The files of the project: no results (empty folders and the run's own books do not count)."""
    names = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {str(name) for name in names if name.parts[0] != ".distillery"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_refused(run: Run, inputs: Path, case: dict[str, Any]) -> None:
    before = listing(inputs)
    outcome = run(*case["run"])
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    for words in case["says"]:
        assert words in outcome.err
    assert listing(inputs) == before


def spoil(project: Path, *changes: tuple[str, str]) -> Path:
    """Replace texts in uplifting's config."""
    path = project / "filters" / "uplifting" / "v1" / "config.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    return path


def test_three_mistakes_of_a_config_are_all_told(run: Run, project: Path) -> None:
    path = spoil(
        project, ("scoring:", "scorign: {}\nscoring:"), ("head_share", "head_shar"),
        ("  epochs: 3", "  epochs: 0"),
    )  # fmt: skip
    outcome = run("filter", "show", "uplifting")
    assert outcome.code == 2
    assert outcome.err.count(f"{path}:") == 3
    assert "did you mean 'scoring'" in outcome.err
    assert "did you mean 'head_share'" in outcome.err
    assert "epochs" in outcome.err


def test_a_prompt_without_the_article(run: Run, project: Path) -> None:
    path = project / "filters" / "uplifting" / "v1" / "prompt.md.j2"
    path.write_text("Score 0-10: agency.", encoding="utf-8")
    outcome = run("filter", "show", "uplifting")
    assert outcome.code == 2
    assert "the prompt does not send the article" in outcome.err


def test_a_broken_filter_is_a_finding_of_list_and_check(run: Run, project: Path) -> None:
    spoil(project, ("scoring:", "scorign: {}\nscoring:"))
    listed = run("filter", "list", "--json")
    assert listed.code == 0
    errors = {entry["filter"]: entry["error"] for entry in listed.json}
    assert "did you mean 'scoring'" in errors["uplifting:v1"]
    assert errors["sustainability_tech_deployment:v1"] is None
    checked = run("filter", "check", "uplifting", "--json")
    assert (checked.code, checked.json["verdict"]) == (1, "NOT READY")


def test_in_a_process_of_its_own(inputs: Path) -> None:
    """Exit code and stderr as a shell sees them, once for each way a command can end early."""
    script = "import sys; from distillery_core.cli.main import main; sys.exit(main())"
    endings = {
        ("filter", "show", "upliftign"): (2, "did you mean uplifting"),
        ("gate", "check", "uplifting"): (1, "calibration: closed"),
    }
    for arguments, (code, words) in endings.items():
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True, text=True, check=False, cwd=inputs,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert words in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
