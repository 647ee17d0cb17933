"""Two processes on one machine: the same curve as one, each article once, one writer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_core.filters.filter import Filter
from distillery_core.student.computing.sharing import pieces_for, share_out
from distillery_core.student.launch import free_port

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40)


@given(LENGTHS, st.integers(1, 5))
def test_every_article_is_computed_by_one_process(lengths: list[int], processes: int) -> None:
    shares = share_out(range(len(lengths)), lengths, processes)
    assert len(shares) == processes
    assert sorted(p for share in shares for p in share) == list(range(len(lengths)))
    pieces = pieces_for(range(len(lengths)), lengths, processes, lambda share: [[p] for p in share])
    assert len({len(own) for own in pieces}) == 1, "all exchange gradients equally often"
    computed = sorted(p for own in pieces for piece in own for p in piece)
    assert computed == list(range(len(lengths)))


TRAIN = """
import json, sys
from pathlib import Path
from distillery_core.filters.filter import load_filter
from distillery_core.student.settings import TrainSettings
from distillery_core.student import training

class Stopped(BaseException):
    pass

def stop_after(save):
    def stopping(run, say):
        save(run, say)
        raise Stopped
    return stopping

job = json.loads(sys.argv[1])
if job.get("stops"):
    training.save_position = stop_after(training.save_position)
for name, settings in job["runs"].items():
    lines = []
    try:
        training.train(load_filter(Path(job["filter"])), Path(job["data"]), Path(job["out"]) / name,
                       TrainSettings(**settings), say=lines.append)
    except Stopped:
        pass
    print(json.dumps({"run": name, "lines": len(lines)}), flush=True)
"""


@pytest.fixture(scope="module")
def both(
    filter_: Filter,
    data_dir: Path,
    base: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[dict[str, Any]]]:
    """Each run once in one process and once in two that gloo connects; what they said."""
    root = tmp_path_factory.mktemp("distributed")
    common = {
        "model_name": str(base("bert")), "max_length": 64, "epochs": 2, "learning_rate": 5e-3,
        "precision": "float32", "device": "cpu", "threads": 1, "micro_batch_tokens": 300,
        "bucket_by_length": True,
    }  # fmt: skip
    runs = {
        "full": common,
        "lora": {**common, "method": "lora"},
        "ridge": {**common, "head_init": "ridge", "learning_rate": 1e-4},
        "fsdp": {**common, "fsdp": True},
    }
    job = {"filter": str(filter_.folder), "data": str(data_dir), "runs": runs}
    (root / "job.json").write_text(json.dumps(job))
    alone = {name: settings for name, settings in runs.items() if name != "fsdp"}
    told = _start({**job, "runs": alone, "out": str(root / "one")}, {})
    said = _told_by(told, *_start_two({**job, "out": str(root / "two")}))
    return root, said


def _start_two(job: dict[str, Any]) -> list[subprocess.Popen[str]]:
    port = str(free_port())
    two = [
        {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1",
        }
        for rank in range(2)
    ]  # fmt: skip
    return [_start(job, environment) for environment in two]


def _told_by(*processes: subprocess.Popen[str]) -> list[dict[str, Any]]:
    said = []
    for process in processes:
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-3000:]
        said += [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return said


def _start(job: dict[str, Any], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, json.dumps(job)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def history(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "training_history.json").read_text())
    return found


@pytest.mark.parametrize(
    ("run", "alone"), [("full", "full"), ("lora", "lora"), ("ridge", "ridge"), ("fsdp", "full")]
)
def test_two_processes_give_the_curve_of_one(
    run: str, alone: str, both: tuple[Path, list[dict[str, Any]]]
) -> None:
    root, _ = both
    one, two = history(root / "one" / alone), history(root / "two" / run)
    for before, after in zip(one, two, strict=True):
        assert after["running_loss"] == pytest.approx(before["running_loss"], rel=1e-4)
        for split in ("train", "val"):
            for key, value in before[split].items():
                assert after[split][key] == pytest.approx(value, rel=1e-3, abs=1e-3), key
        assert after["tokens"] == before["tokens"]
    metadata = json.loads((root / "two" / run / "training_metadata.json").read_text())
    assert metadata["processes"] == 2
    assert metadata["device"].startswith("2 x cpu")
    assert metadata["weights_moved"]["tensors_moved"] == metadata["weights_moved"]["tensors"]


def test_two_processes_go_on_where_they_were_stopped(
    both: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    root, _ = both
    job = json.loads((root / "job.json").read_text())
    for name, settings in job["runs"].items():
        settings |= {"checkpoint_dir": str(tmp_path / name / "checkpoints"), "checkpoint_every": 5}
    job["out"] = str(tmp_path)
    _told_by(*_start_two({**job, "stops": True}))
    assert not (tmp_path / "fsdp" / "training_history.json").exists()
    for settings in job["runs"].values():
        settings["resume"] = "newest"
    _told_by(*_start_two(job))
    for name in job["runs"]:
        resumed, whole = (history(folder / name) for folder in (tmp_path, root / "two"))
        for before, after in zip(whole, resumed, strict=True):
            assert after["running_loss"] == before["running_loss"], name
            assert after["val"] == before["val"], name
        model = Path(name) / "model" / "model.safetensors"
        assert (tmp_path / model).read_bytes() == (root / "two" / model).read_bytes(), name


def test_only_the_first_process_speaks(both: tuple[Path, list[dict[str, Any]]]) -> None:
    lines = [said["lines"] for said in both[1] if said["run"] == "full"]
    assert len(lines) == 3
    assert sum(count == 0 for count in lines) == 1
