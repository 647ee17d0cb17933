"""What tests of several folders share: a project with a judged model, made of plain numbers."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.floods import CONFIG, write_floods

if TYPE_CHECKING:
    from distillery_core.stages.project import Project

    JudgedProject = Callable[..., Project]
    MadeOnce = Callable[[str, Callable[[Path], object]], Path]

# Before torch and numpy are imported, here and in the processes that tests start: OpenMP threads of
# two workers that wait for each other on two cores were measured to take three times the CPU time.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Makes a folder once for all workers of this run; others wait for it.

    `make` is given the folder, which is there and empty. Nobody may write to it afterwards.
    """
    here = tmp_path_factory.getbasetemp()
    shared = here.parent if os.environ.get("PYTEST_XDIST_WORKER") else here

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = shared / f"once-{name}", shared / f"once-{name}.done"
        with (shared / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def _built(made_once: MadeOnce) -> Callable[..., Path]:
    """The folder of a judged filter; each is made once."""

    def build(**wish: Any) -> Path:
        key = hashlib.sha256(repr(sorted(wish.items())).encode()).hexdigest()[:12]
        root = made_once(f"judged-{key}", lambda root: _judge(root, **wish))
        return root / "filters" / "floods" / "v1"

    return build


@pytest.fixture
def judged_project(tmp_path: Path, _built: Callable[..., Path]) -> JudgedProject:
    """Judges a model of the filter `floods` in a project of its own.

    `error` is how far it is off everywhere; `n` test articles; `title` is each article's title;
    further keywords replace evidence. The same arguments write the same files. An `agents/` that
    lies in the project is used.
    """

    def judge(folder: str = "project", **wish: Any) -> Project:
        from distillery_core.stages.project import Project

        root = tmp_path / folder
        if (root / "agents").is_dir():
            _judge(root, **wish)
        else:
            home = root / "filters" / "floods" / "v1"
            shutil.copytree(_built(**wish), home, dirs_exist_ok=True)
        return Project(root)

    return judge


def _judge(
    root: Path, *, error: float = 0.6, n: int = 240, title: str = "Title {}", **hashes: str
) -> Path:
    from distillery_core.agents.evaluation import judge_evaluation
    from distillery_core.filters import load_filter

    home = write_floods(root, CONFIG + "reports: {excerpt_chars: 30}\n")
    filter = load_filter(home)
    own = {
        "prompt_sha256": filter.prompt_sha256,
        "text_view_sha256": filter.text_view_sha256,
        "dimensions_sha256": filter.dimensions_sha256,
        "scoring_sha256": filter.scoring_sha256,
        "dataset_sha256": "d" * 64,
        "model_sha256": "m" * 64,
    }
    judge_evaluation(filter, _evidence(error, n, title, {**own, **hashes}), home, root)
    return home


def _evidence(error: float, n: int, title: str, hashes: dict[str, str]) -> Any:
    import numpy as np

    from distillery_core.agents.evaluation_evidence import (
        EvaluationEvidence,
        Predicted,
        RecordCheck,
        TestArticle,
    )

    weights = np.array([0.5, 0.3, 0.2])
    rng = np.random.default_rng(1)
    labels = rng.uniform(1, 9, (n, 3))
    sides = rng.choice([-1.0, 1.0], (n, 3))
    test = Predicted(labels, labels + error * sides)
    tfidf = labels + 1.2 * sides
    overall, labelled = test.predictions @ weights, labels @ weights
    return EvaluationEvidence(
        dimensions=("harm", "area", "loss"),
        val=test,
        test=test,
        overall=overall,
        labelled_overall=labelled,
        constant=np.full((n, 3), 5.0),
        tfidf=tfidf,
        tfidf_overall=tfidf @ weights,
        epochs=[_epoch(1.2, 1.0), _epoch(0.7, 0.7), _epoch(0.55, 0.6)],
        metadata={"model_name": "package:x/model", "train_examples": 1920, "seconds": 120.0},
        record=RecordCheck(0),
        leaking=0,
        dataset_grade=0,
        kind="general",
        kind_reason="50 % of the labels are at or above 3",
        hashes=hashes,
        date="2026-11-22T20:00:00Z",
        articles=tuple(
            TestArticle(
                f"t{at}",
                title.replace("{}", str(at)),
                float(labelled[at]),
                float(overall[at]),
                error - at / 1e4,
                content=f"SECRET-BEGINNING of article {at} and its SECRET-END",
            )
            for at in range(n)
        ),
    )


def _epoch(train: float, val: float) -> dict[str, Any]:
    return {"train": {"mae": train, "rmse": train + 0.2}, "val": {"mae": val, "rmse": val + 0.2}}
