"""Generated documents are current, and committed examples are what a run wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from distillery_core.verdicts.front_matter import read_report

ROOT = Path(__file__).resolve().parents[2]
GENERATE = ROOT / "tests/docs/generate.py"
EXAMPLES = ROOT / "docs/examples/crisis_v1"
ROUNDS = {
    "calibration_report.md": ("prompt_calibration", "calibration"),
    "validation_report.md": ("prompt_calibration", "validation"),
    "model_evaluation.md": ("model_evaluation", "evaluation"),
}


def _generate(*options: str, script: Path = GENERATE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_generated_parts_are_current() -> None:
    done = _generate("--check")
    assert done.returncode == 0, f"run `make docs`\n{done.stdout}{done.stderr}"


def test_a_page_that_is_out_of_date_is_named_and_written(tmp_path: Path) -> None:
    for name in ("agents", "docs", "tests/docs"):
        _copy(ROOT / name, tmp_path / name)
    script = tmp_path / "tests/docs/generate.py"
    (tmp_path / "README.md").write_text("<!-- excerpt -->\n<!-- end -->\n", encoding="utf-8")
    (tmp_path / "docs/cli.md").write_text("old\n", encoding="utf-8")
    _example(tmp_path / "docs/examples/crisis_v1/model_evaluation.md")
    named = _generate("--check", script=script)
    assert (named.returncode, "docs/cli.md: out of date" in named.stdout) == (1, True)
    assert _generate(script=script).returncode == 0
    assert _generate("--check", script=script).returncode == 0
    assert "## distillery train" in (tmp_path / "docs/cli.md").read_text(encoding="utf-8")
    shown = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "> **Title: REVIEW**\n>\n> summary\n>\n> | line |" in shown


def test_a_demo_that_is_not_finished_is_no_example(tmp_path: Path) -> None:
    done = _generate("--examples", str(tmp_path))
    assert done.returncode == 1
    assert "no finished demo" in done.stderr


@pytest.mark.parametrize("name", ROUNDS)
def test_an_example_is_whole(name: str) -> None:
    front = read_report(EXAMPLES / name).front
    assert (front.agent, front.round) == ROUNDS[name]
    assert (front.filter, str(front.version)) == ("crisis", "1")


def test_the_examples_are_of_one_run() -> None:
    fronts = [read_report(EXAMPLES / name).front for name in ROUNDS]
    assert len({front.evidence["prompt_sha256"] for front in fronts}) == 1
    evaluation = fronts[2]
    metadata = json.loads((EXAMPLES / "training_metadata.json").read_text(encoding="utf-8"))
    assert metadata["hashes"]["model_sha256"] == evaluation.evidence["model_sha256"]
    assert metadata["num_parameters"] == evaluation.numbers["num_parameters"]


def test_the_readme_quotes_the_example() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    quoted = text.partition("<!-- excerpt -->\n")[2].partition("<!-- end -->")[0]
    report = (EXAMPLES / "model_evaluation.md").read_text(encoding="utf-8")
    lines = [line.removeprefix(">").strip().strip("*").strip() for line in quoted.splitlines()]
    assert len(lines) > 10
    assert not [line for line in lines if line not in report]


def _example(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = "| line | n |\n| --- | --- |\n| Test MAE | 35 |\n"
    body = f"# Title: REVIEW\n\nsummary\n\n## What to do\n\nx\n\n## Every line\n\n{table}"
    path.write_text(f"---\nfilter: crisis\n---\n{body}", encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
