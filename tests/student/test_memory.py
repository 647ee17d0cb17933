"""Memory that runs out: named, and avoided by --batch-size auto."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.out_of_memory import is_out_of_memory
from distillery_core.student.computing.memory import (
    largest_that_fits,
    memory_named,
    out_of_memory,
)
from distillery_core.student.data import Encoded
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train

LIMITED = """
import json, resource, sys
from pathlib import Path
from distillery_core.errors import UserError
from distillery_core.filters.filter import load_filter
from distillery_core.student import training
from distillery_core.student.settings import TrainSettings

job = json.loads(sys.argv[1])

def say(line):
    # The limit is set when everything stands ready and only the steps are to come.
    if "parameters" in line:
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + job["room"], -1))
    lines.append(line)

def lift(done, total, note=""):
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))  # the only step is done

for settings in job["runs"]:
    lines = []
    try:
        training.train(load_filter(Path(job["filter"])), Path(job["data"]), Path(job["out"]),
                       TrainSettings(**settings), say=say, progress=lift)
        print(json.dumps({"lines": lines}))
    except UserError as error:
        print(json.dumps({"error": str(error)}))
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
"""


@pytest.fixture(scope="module")
def under_a_limit(
    filter_: Filter,
    data_dir: Path,
    base: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, list[str]]:
    """What a run says that computes 48 wide articles at a time in 300 MB, and one that fits."""
    root = tmp_path_factory.mktemp("limited")
    small = base("bert")
    wide = root / "base"
    config = BertConfig.from_pretrained(small, hidden_size=512, intermediate_size=4096)
    BertModel(config).save_pretrained(wide)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (wide / name).write_bytes((small / name).read_bytes())
    common = {
        "model_name": str(wide), "max_length": 64, "epochs": 1, "batch_size": 96,
        "precision": "float32", "device": "cpu", "threads": 1, "train_eval_articles": 8,
        "packing": False,  # padded pieces need the same memory every time
    }  # fmt: skip
    runs = [{**common, "micro_batch_tokens": 10_000}, {**common, "fit_batch": True}]
    job = {"filter": str(filter_.folder), "data": str(data_dir), "out": str(root / "out")}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, json.dumps({**job, "runs": runs, "room": 330_000_000})],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr  # CalledProcessError would not show it
    told: list[dict[str, Any]] = [
        json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")
    ]
    return told[0].get("error", ""), told[1].get("lines", [str(told[1])])


def test_out_of_memory_names_the_batch_and_what_to_change(
    under_a_limit: tuple[str, list[str]],
) -> None:
    error, _ = under_a_limit
    assert "out of memory at step 1: 96 articles at a time (t" in error
    assert "and 88 more), the longest of 64 tokens, 6,144 tokens in all" in error
    assert "--batch-size auto, or --tokens-per-batch 3072" in error


def test_batch_size_auto_finds_what_fits_and_keeps_the_steps(
    under_a_limit: tuple[str, list[str]],
) -> None:
    _, lines = under_a_limit
    fitted = next((line for line in lines if line.startswith("Batch size: ")), "")
    assert fitted, lines
    assert int(fitted.split()[2]) in (6, 12, 24, 48)
    assert "96 make a step, as before" in fitted
    assert any(line.startswith("New best validation MAE") for line in lines)


def test_a_packed_row_is_not_counted_as_if_it_were_padded() -> None:
    lengths = [512, *[30] * 51]
    row = [Encoded(str(at), tuple(range(n)), cut=False) for at, n in enumerate(lengths)]
    error = out_of_memory(1, row, 64, sum(lengths))
    assert "2,042 tokens in all" in str(error)
    assert "--tokens-per-batch 1021" in str(error.hint)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("accelerate.Accelerator.backward", "out of memory at step 1: 8 articles at a time (t"),
        ("torch.optim.AdamW.step", "out of memory in the optimizer's update of step 1: "),
        ("distillery_core.student.evaluating.forward", "out of memory in the evaluation after "),
    ],
)
def test_wherever_memory_runs_out_it_is_the_users_error(
    place: str,
    said: str,
    filter_: Filter,
    data_dir: Path,
    settings: Callable[..., TrainSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(place, lambda *_, **named: torch.empty(1 << 50))
    asked = settings(micro_batch_tokens=2000, packing=False)
    with pytest.raises(UserError, match="out of memory") as caught:
        train(filter_, data_dir, tmp_path, asked)
    assert said in str(caught.value)
    assert "tokens in all, of a batch of" in str(caught.value)
    assert caught.value.hint
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_what_counts_as_running_out() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("shapes differ"))


def test_a_message_of_several_faults_is_taken_for_memory_and_the_doubt_is_told() -> None:
    named = UserError("out of memory at step 1", where="memory", hint="--batch-size auto")
    with pytest.raises(UserError) as caught, memory_named(lambda: named):
        raise RuntimeError("could not create a primitive")
    assert caught.value.hint == (
        "--batch-size auto; or it is a fault of oneDNN, which says no more than "
        '"could not create a primitive"'
    )
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_the_largest_that_fits() -> None:
    tried: list[int] = []

    def attempt(size: int) -> None:
        tried.append(size)
        if size > 5:
            raise MemoryError

    assert largest_that_fits(attempt, 32) == 4
    assert tried == [32, 16, 8, 4]
    with pytest.raises(UserError, match="not even one article"):
        largest_that_fits(lambda size: torch.empty(1 << 50) and None, 2)
    with pytest.raises(RuntimeError, match="shapes differ"):
        largest_that_fits(_fail, 2)


def _fail(size: int) -> None:
    raise RuntimeError("shapes differ")
