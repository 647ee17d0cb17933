"""One project that went the whole way on recorded answers, copied for every test.

The oracle is the real replay server behind the real client; the student is a real, tiny one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from distillery_filter_crisis.corpus import articles

from distillery_core.dataset.prepare import prepare as prepare_dataset
from distillery_core.filters import Filter, resolve_filter
from distillery_core.stages import calibrate, evaluate, gates, label, prepare, train
from distillery_core.stages.project import Project
from distillery_core.student.testing import labelled_rows, tiny_base, tiny_filter, write_rows

LENIENT = """
  criteria:
    test_mae: {fail: "> 9", reason: a test of the way and not of the student}
    test_rmse: {ok: "< 9", reason: as above}
    worst_dimension: {ok: "<= 9", fail: "> 9.5", reason: as above}
    test_validation_gap: {ok: "<= 8", fail: "> 9", reason: as above}
    skill: {fail: "< -9", reason: as above}
    against_tfidf: {fail: "> 9", reason: as above}
    implausible: {ok: "<= 90", fail: ">= 99", reason: as above}
"""


def crisis(project: Project) -> Filter:
    """The filter as the project sees it now."""
    return resolve_filter("crisis", project.root)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 350 recorded articles."""
    path = tmp_path_factory.mktemp("corpus") / "articles.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in articles()), encoding="utf-8")
    return path


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def calibrated_once(made_once: MadeOnce, corpus: Path) -> Path:
    """A project with both rounds judged and the REVIEW of the second one approved."""
    return made_once("calibrated", lambda root: _calibrate(root, corpus))


def _calibrate(root: Path, corpus: Path) -> None:
    project = Project(root)
    (root / "filters").mkdir()
    for kind in ("calibration", "validation"):
        calibrate.calibrate(project, crisis(project), round=kind, input=corpus)
    gates.approve(project, crisis(project), report="validation", who="Ada", why="read it")


@pytest.fixture(scope="session")
def judged_once(made_once: MadeOnce, calibrated_once: Path, corpus: Path) -> Path:
    """A project that went on to a trained and judged student, judged leniently."""
    folder = made_once("judged", lambda root: _judge(root / "project", calibrated_once, corpus))
    return folder / "project"


def _judge(root: Path, calibrated: Path, corpus: Path) -> None:
    shutil.copytree(calibrated, root)
    project = Project(root)
    config = root / "filters" / "crisis" / "v1" / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").rstrip() + LENIENT, encoding="utf-8")
    label.label(project, crisis(project), input=corpus)
    prepare.prepare(project, crisis(project))
    base = tiny_base(root.parent / "base", "bert")
    overrides = {"model_name": str(base), "epochs": 1, "max_length": 64}
    train.train(project, crisis(project), overrides=overrides, mlflow=False)
    evaluate.evaluate(project, crisis(project), mlflow=False)


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Project]:
    """A copy of a project, to be spoilt."""

    def copy(root: Path) -> Project:
        shutil.copytree(root, tmp_path / "project")
        return Project(tmp_path / "project")

    return copy


@pytest.fixture
def calibrated(copied: Callable[[Path], Project], calibrated_once: Path) -> Project:
    """A calibrated project of one's own."""
    return copied(calibrated_once)


@pytest.fixture
def judged(copied: Callable[[Path], Project], judged_once: Path) -> Project:
    """A judged project of one's own."""
    return copied(judged_once)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty one."""
    return Project(tmp_path / "project")


@pytest.fixture
def tiny(project: Project) -> Filter:
    """A tiny filter of the project, with its dataset."""
    chosen = tiny_filter(project.root / "filters")
    rows = write_rows(project.root / "rows.jsonl", labelled_rows(chosen, 120))
    prepare_dataset(chosen, rows, project.training_dir(chosen))
    return chosen
