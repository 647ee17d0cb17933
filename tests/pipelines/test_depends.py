"""What each step is cached by: an edit changes the hashes of exactly what depends on it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.pipelines import depends
from distillery_core.pipelines.scope import NONE, Scope, open_scope

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = ("rounds", "label", "prepare", "train", "evaluate")
Edit = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with the uplifting filter and its own copy of the agents."""
    shutil.copytree(REPOSITORY / "filters" / "uplifting", tmp_path / "filters" / "uplifting")
    shutil.copytree(REPOSITORY / "agents", tmp_path / "agents")
    shutil.copy(REPOSITORY / "oracles.yaml", tmp_path / "oracles.yaml")
    return tmp_path


def _keys(project: Path) -> dict[str, depends.MadeFrom]:
    scope: Scope = open_scope("uplifting", str(project))
    return {
        "rounds": depends.of_rounds(scope),
        "label": depends.of_labels(scope),
        "prepare": depends.of_dataset(scope),
        "train": depends.of_model(scope, {}),
        "evaluate": depends.of_evaluation(scope, read=False),
    }


def _in(name: str, pattern: str, new: str) -> Edit:
    def edit(project: Path) -> None:
        path = project / name
        text = path.read_text(encoding="utf-8")
        changed, count = re.subn(pattern, new, text, count=1, flags=re.MULTILINE)
        assert count == 1, f"{pattern} is not in {name}"
        path.write_text(changed, encoding="utf-8")

    return edit


def _append(name: str, text: str) -> Edit:
    def edit(project: Path) -> None:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            (path.read_text(encoding="utf-8") if path.exists() else "") + text, encoding="utf-8"
        )

    return edit


V1 = "filters/uplifting/v1/"
CONFIG = V1 + "config.yaml"
EDITS: dict[str, tuple[Edit, set[str]]] = {
    "prompt": (_append(V1 + "prompt.md.j2", "\nBe strict.\n"), {"rounds", "label", "evaluate"}),
    "text view": (_append(CONFIG, "\ntext: {max_chars: 4321}\n"), set(STEPS)),
    "pre-filter": (
        _in(V1 + "prefilter.yaml", r"^min_chars: .*$", "min_chars: 77"),
        {"rounds", "label"},
    ),
    "tier": (_in(CONFIG, r"at: 4\.0", "at: 4.1"), {"rounds", "prepare", "evaluate"}),
    "training": (_in(CONFIG, r"epochs: \d+", "epochs: 9"), {"train"}),
    "deployment": (
        _in(CONFIG, r"^deployment:", "deployment:\n  kind_reason: because"),
        {"evaluate"},
    ),
    "evaluation criteria": (_append("agents/model_evaluation/criteria.yaml", "\n"), {"evaluate"}),
    "evaluation template": (_append("agents/model_evaluation/report.md.j2", "\n"), {"evaluate"}),
    "calibration criteria": (_append("agents/prompt_calibration/criteria.yaml", "\n"), {"rounds"}),
    "dataset criteria": (_append("agents/dataset_quality/criteria.yaml", "\n"), {"prepare"}),
    "oracle's model": (
        _in("oracles.yaml", "model: gpt-4.1-mini", "model: other"),
        {"rounds", "label"},
    ),
    "oracle's concurrency": (_in("oracles.yaml", "concurrency: 32", "concurrency: 3"), set()),
    "another sample": (
        _append(V1 + "calibration_rounds.jsonl", json.dumps({"seed": 7}) + "\n"),
        {"rounds"},
    ),
    "the run's own round": (
        _append(V1 + "calibration_rounds.jsonl", json.dumps({"seed": 2024}) + "\n"),
        set(),
    ),
    "reports": (_append(V1 + "calibration_report.md", "x"), set()),
    "approvals": (_append(V1 + "approvals.yaml", "[]"), set()),
    "model": (_append(V1 + "model/config.json", "{}"), set()),
    "README": (_append(V1 + "README.md", "more"), set()),
    "comment": (_append(CONFIG, "\n# a remark\n"), set()),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_changes_what_depends_on_it(folder: Path, name: str) -> None:
    edit, expected = EDITS[name]
    if name == "text view":
        _in(CONFIG, r"^text:(.*\n)( +.*\n)*", "")(folder)
    before = _keys(folder)
    edit(folder)
    after = _keys(folder)
    assert {step for step in STEPS if before[step] != after[step]} == expected


def test_the_same_project_gives_the_same_hashes(folder: Path) -> None:
    assert _keys(folder) == _keys(folder)


def test_hashes_do_not_depend_on_where_the_project_lies(folder: Path, tmp_path: Path) -> None:
    before = _keys(folder)
    other = tmp_path / "copy"
    for name in ("filters", "agents", "oracles.yaml"):
        source = folder / name
        if source.is_dir():
            shutil.copytree(source, other / name)
        else:
            shutil.copy(source, other / name)
    assert _keys(other) == before


def test_a_base_model_in_a_folder_counts_by_its_content(folder: Path) -> None:
    _append("base/config.json", "{}")(folder)
    scope = open_scope("uplifting", str(folder))
    before = depends.of_model(scope, {"model_name": "base"})
    _append("base/config.json", " ")(folder)
    assert depends.of_model(scope, {"model_name": "base"}) != before
    assert depends.of_model(scope, {"model_name": "hub/name"})["base_model"] == "hub/name"


def test_approvals_have_their_own_hash(folder: Path) -> None:
    scope = open_scope("uplifting:v1", str(folder))
    assert scope.approvals_sha256 == NONE
    _append(V1 + "approvals.yaml", "[]")(folder)
    assert scope.approvals_sha256 != NONE


def test_an_adopted_filter_has_the_hashes_of_its_plugin(tmp_path: Path) -> None:
    pytest.importorskip("distillery_filter_crisis")
    from distillery_core.stages.project import adopt

    shutil.copy(REPOSITORY / "oracles.yaml", tmp_path / "oracles.yaml")
    scope = open_scope("crisis", str(tmp_path))
    before = depends.of_rounds(scope), depends.of_dataset(scope)
    adopt(scope.project, scope.filter)
    again = open_scope("crisis", str(tmp_path))
    assert again.filter.folder != scope.filter.folder
    assert (depends.of_rounds(again), depends.of_dataset(again)) == before
