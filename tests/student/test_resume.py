"""Resuming: a killed run goes on bit for bit, another run is refused, a full disk costs nothing."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.checkpoints.folder import checkpoints
from distillery_core.student.checkpoints.state import store_state, stored_state
from distillery_core.student.model_folder import model_sha256
from distillery_core.student.planning.plan import choice_of
from distillery_core.student.planning.shape import shape_of
from distillery_core.student.planning.step_memory import GIB
from distillery_core.student.planning.target import target_for
from distillery_core.student.result import TrainResult
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train
from tests.full_disk import files_of_at_most

Make = Callable[..., TrainSettings]
METHODS = {"full": "bert", "lora": "qwen2"}
"""Each with a base."""
BEGINNINGS: dict[str, dict[str, Any]] = {
    "full": {},
    "lora": {"head_init": "ridge", "r_drop": 1.0},
}
TIMES = {"seconds", "tokens_per_second", "model_flops_utilisation", "peak_memory_bytes"}
STEPS = 24
"""96 training articles, 8 a step, 2 epochs."""

KILLED = """
import json, os, signal, sys
from pathlib import Path
from distillery_core.filters.filter import load_filter
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train

for line in sys.stdin:  # a child for each method, so that torch is imported once
    job = json.loads(line)
    child = os.fork()
    if child == 0:
        def kill(done, total, note=""):
            if done == job["step"]:
                os.kill(os.getpid(), signal.SIGKILL)
        train(load_filter(Path(job["filter"])), Path(job["data"]), Path(job["out"]),
              TrainSettings(**job["settings"]), progress=kill)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, "it was to be killed"
"""


@pytest.fixture(scope="module")
def killed(
    filter_: Filter,
    data_dir: Path,
    base: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[TrainSettings, Path, int]]:
    """A run of each method, killed by the system at a random step."""
    root = tmp_path_factory.mktemp("killed")
    found, jobs = {}, []
    for method, family in METHODS.items():
        step = random.randrange(4, STEPS)
        settings = TrainSettings(
            model_name=str(base(family)), max_length=64, epochs=2, batch_size=8,
            learning_rate=5e-3, precision="float32", device="cpu", threads=1, dropout=0.2,
            micro_batch_tokens=300, method=method, checkpoint_every=3,
            checkpoint_dir=str(root / method / "checkpoints"), **BEGINNINGS[method],
        )  # fmt: skip
        found[method] = (settings, root / method / "out", step)
        paths = {"filter": filter_.folder, "data": data_dir, "out": root / method / "out"}
        job = {name: str(path) for name, path in paths.items()}
        jobs.append(json.dumps({**job, "settings": asdict(settings), "step": step}))
    subprocess.run([sys.executable, "-c", KILLED], input="\n".join(jobs), text=True, check=True)
    return found


def without_times(result: TrainResult) -> list[dict[str, object]]:
    return [
        {key: value for key, value in record.as_json().items() if key not in TIMES}
        for record in result.history
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_goes_on_bit_for_bit(
    method: str,
    killed: dict[str, tuple[TrainSettings, Path, int]],
    filter_: Filter,
    data_dir: Path,
    tmp_path: Path,
) -> None:
    settings, out, step = killed[method]
    whole = train(filter_, data_dir, tmp_path, changed(settings, checkpoint_dir=None))
    lines: list[str] = []
    counted: list[int] = []
    resumed = train(
        filter_,
        data_dir,
        out,
        changed(settings, resume="newest"),
        progress=lambda done, total, note="": counted.append(done),
        say=lines.append,
    )
    assert any(line.startswith("Resumed from") for line in lines)
    assert step - 3 <= counted[0] - 1 < step
    assert without_times(resumed) == without_times(whole), f"killed at step {step}"
    for name in ("model.safetensors", "config.json"):
        assert (out / "model" / name).read_bytes() == (tmp_path / "model" / name).read_bytes(), step
    for key in ("num_trainable_parameters", "weights_moved", "best_val_mae", "total_steps"):
        assert resumed.metadata[key] == whole.metadata[key]
    assert resumed.metadata["complete"] is True
    assert model_sha256(out / "model") == model_sha256(tmp_path / "model")
    for path in (out / "model").glob("adapter/adapter_config.json"):
        names = json.loads(path.read_text())["target_modules"]
        assert names == sorted(names), "the same in every process"


def changed(settings: TrainSettings, **values: object) -> TrainSettings:
    return TrainSettings(**{**asdict(settings), **values})  # type: ignore[arg-type]


def newest(asked: TrainSettings) -> Path:
    """The checkpoint that would be resumed."""
    return checkpoints(Path(asked.checkpoint_dir or ""))[-1]


def made_with(checkpoint: Path, **other: object) -> None:
    """As if the run had been begun with something else."""
    state = stored_state(checkpoint)
    store_state(checkpoint, replace(state, identity=state.identity | other))


@pytest.fixture
def stopped(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> tuple[TrainSettings, Path]:
    """A LoRA run that was interrupted in its third epoch."""
    folder = tmp_path / "checkpoints"
    asked = settings(
        method="lora", epochs=3, checkpoint_dir=str(folder), keep=1, micro_batch_tokens=2000
    )

    def stop(done: int, total: int | None, note: str = "") -> None:
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(filter_, data_dir, tmp_path / "out", asked, progress=stop)
    assert [path.name for path in checkpoints(folder)] == ["epoch_2"]
    return changed(asked, resume="newest"), tmp_path / "out"


def test_an_adapter_moves_after_one_resumed_step(
    stopped: tuple[TrainSettings, Path], filter_: Filter, data_dir: Path
) -> None:
    """A run elsewhere resumed with its adapter frozen, and only the head trained on."""
    asked, out = stopped
    before = load_file(newest(asked) / "weights.safetensors")
    assert sum(".lora_" in name for name in before) == 28

    def stop(done: int, total: int | None, note: str = "") -> None:
        if done == 26:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(filter_, data_dir, out, changed(asked, checkpoint_every=1), progress=stop)
    assert newest(asked).name == "step_25"
    after = load_file(newest(asked) / "weights.safetensors")
    assert set(after) == set(before)
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(moved) == len(before)


def test_a_path_and_a_lost_output_folder(
    stopped: tuple[TrainSettings, Path], filter_: Filter, data_dir: Path, tmp_path: Path
) -> None:
    """The best model so far lies in the checkpoint, and comes back where it is lost."""
    asked, _ = stopped
    path = str(newest(asked))
    frozen_after = changed(asked, resume=path, checkpoint_dir=None)

    def stop(done: int, total: int | None, note: str = "") -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(filter_, data_dir, tmp_path / "elsewhere", frozen_after, progress=stop)
    state = json.loads((Path(path) / "state.json").read_text())
    assert model_sha256(tmp_path / "elsewhere" / "model") == state["model_sha256"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"learning_rate": 1e-3}, "learning_rate was 0.005 and is 0.001 now"),
        ({"epochs": 5}, "epochs was 3 and is 5 now"),
        ({"method": "full"}, "num_trainable_parameters was"),
        ({"lora_rank": 4}, "lora_rank was 16 and is 4 now"),
    ],
)
def test_changed_settings_are_refused(
    stopped: tuple[TrainSettings, Path],
    filter_: Filter,
    data_dir: Path,
    change: dict[str, object],
    reason: str,
) -> None:
    asked, out = stopped
    before = model_sha256(out / "model")
    with pytest.raises(CheckFailed, match="is of another run") as caught:
        train(filter_, data_dir, out, changed(asked, **change))
    assert reason in str(caught.value)
    assert model_sha256(out / "model") == before


@pytest.fixture
def begun(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> Callable[..., tuple[TrainSettings, Path]]:
    """Begins a full run and interrupts it at its fourth step."""

    def make(**asked: object) -> tuple[TrainSettings, Path]:
        folder = tmp_path / "checkpoints"
        own = settings(
            method="full", gradient_checkpointing=False, checkpoint_every=2, epochs=1,
            checkpoint_dir=str(folder), **asked,
        )  # fmt: skip

        def stop(done: int, total: int | None, note: str = "") -> None:
            if done == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(filter_, data_dir, tmp_path / "out", own, progress=stop)
        return changed(own, resume="newest"), tmp_path / "out"

    return make


def test_the_pieces_stay_as_they_were_where_there_is_less_memory(
    begun: Callable[..., tuple[TrainSettings, Path]], filter_: Filter, data_dir: Path
) -> None:
    """Fewer tokens at a time would add up in another order."""
    asked, out = begun()
    few = changed(asked, micro_batch_tokens=256)
    need = choice_of(shape_of(asked.model_name, 3), few, target_for("cpu"), "full").memory.total
    short = changed(asked, memory_limit_gib=need * 1.00001 / GIB)
    assert train(filter_, data_dir, out, short).metadata["micro_batch_tokens"] == 512
    anew = train(filter_, data_dir, out, changed(short, resume=None))
    assert anew.metadata["micro_batch_tokens"] in range(250, 260)


def test_a_batch_size_that_was_found_is_not_sought_again(
    begun: Callable[..., tuple[TrainSettings, Path]],
    filter_: Filter,
    data_dir: Path,
) -> None:
    asked, out = begun(fit_batch=True)
    path = newest(asked)
    state = stored_state(path)
    tokens, articles, may_pad = state.at_a_time
    store_state(path, replace(state, at_a_time=(tokens // 2, articles // 2, may_pad)))
    lines: list[str] = []
    resumed = train(filter_, data_dir, out, asked, say=lines.append)
    assert resumed.metadata["micro_batch_tokens"] == tokens // 2
    assert not any("fit at a time" in line for line in lines)


def test_a_run_that_ran_out_of_memory_goes_on_in_smaller_pieces(
    begun: Callable[..., tuple[TrainSettings, Path]], filter_: Filter, data_dir: Path
) -> None:
    """As the error's hint says: --resume with --tokens-per-batch, or with --batch-size auto."""
    asked, out = begun()
    lines: list[str] = []
    made_with(newest(asked), gradient_checkpointing=True)  # smaller pieces may not need it
    with pytest.raises(CheckFailed, match="gradient_checkpointing was True"):
        train(filter_, data_dir, out, asked)
    fewer = changed(asked, micro_batch_tokens=256)
    resumed = train(filter_, data_dir, out, fewer, say=lines.append)
    assert resumed.metadata["micro_batch_tokens"] == 256
    assert any(line.startswith("256 tokens at a time, not 512 as before") for line in lines), lines
    lines.clear()
    fitted = changed(asked, fit_batch=True)
    assert train(filter_, data_dir, out, fitted, say=lines.append).metadata["complete"] is True
    assert any("articles fit at a time" in line for line in lines)


def test_a_run_that_begins_anew_says_what_it_leaves_behind(
    begun: Callable[..., tuple[TrainSettings, Path]], filter_: Filter, data_dir: Path
) -> None:
    asked, out = begun()
    anew = changed(asked, resume=None)
    told: list[list[str]] = []
    for _ in range(2):  # the second run finds the checkpoints of one that ended
        told.append([])
        train(filter_, data_dir, out, anew, say=told[-1].append)
    found = [[line for line in lines if "An earlier run was" in line] for lines in told]
    assert [len(lines) for lines in found] == [1, 0]
    assert "step_2" in found[0][0]


def test_a_run_that_would_pack_or_attend_in_another_way_is_refused(
    begun: Callable[..., tuple[TrainSettings, Path]], filter_: Filter, data_dir: Path
) -> None:
    asked, out = begun()
    made_with(newest(asked), packed=False, attention="flash_attention_2")
    with pytest.raises(CheckFailed, match="is of another run") as caught:
        train(filter_, data_dir, out, asked)
    for reason in ("packed was False and is True now", "attention was flash_attention_2 and is"):
        assert reason in str(caught.value)


def test_other_data_are_refused(
    stopped: tuple[TrainSettings, Path], filter_: Filter, data_dir: Path
) -> None:
    asked, out = stopped
    path = newest(asked)
    whole = stored_state(path)
    made_with(path, dataset_sha256="0" * 64)
    with pytest.raises(CheckFailed, match="dataset_sha256 was 000000000000 and is"):
        train(filter_, data_dir, out, asked)
    store_state(path, whole)


CHANGES: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("state.json", lambda was: was.replace(b'"epoch": ', b'"epoch": 99')),
    ("state.json", lambda was: was.replace(b'"batch": ', b'"batch": -')),
    ("state.json", lambda was: was.replace(b'"mae"', b'"mea"')),
    ("state.json", lambda was: was[:100]),
    ("state.json", lambda was: b"[" * 100_000),
    ("state.sha256", lambda was: b""),
    ("weights.safetensors", lambda was: was[:-8] + b"damaged!"),
    ("optimizer.safetensors", lambda was: was[:-8] + b"damaged!"),
    ("random.safetensors", lambda was: b""),
]


def test_whatever_changed_in_a_checkpoint_is_refused(
    stopped: tuple[TrainSettings, Path], filter_: Filter, data_dir: Path
) -> None:
    asked, out = stopped
    path, before = newest(asked), model_sha256(out / "model")
    for name, change in CHANGES:
        whole = (path / name).read_bytes()
        (path / name).write_bytes(change(whole))
        assert (path / name).read_bytes() != whole
        with pytest.raises(UserError, match=rf"damaged: {name.split('.')[0]}\S* changed since"):
            train(filter_, data_dir, out, changed(asked, resume=str(path)))
        (path / name).write_bytes(whole)
    (path / "state.sha256").unlink()
    with pytest.raises(UserError, match=r"damaged: it has no state\.sha256, as those of earlier"):
        train(filter_, data_dir, out, changed(asked, resume=str(path)))
    assert model_sha256(out / "model") == before


def test_nothing_to_resume_from(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    asked = settings(resume="newest", checkpoint_dir=str(tmp_path / "none"))
    with pytest.raises(UserError, match="no checkpoint to resume from"):
        train(filter_, data_dir, tmp_path / "out", asked)
    with pytest.raises(UserError, match="no checkpoint stands there"):
        train(filter_, data_dir, tmp_path / "out", changed(asked, resume=str(tmp_path / "x")))


def test_a_full_disk_leaves_the_last_good_checkpoint(
    filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoints"
    asked = settings(
        checkpoint_dir=str(folder), checkpoint_every=1, keep=2, micro_batch_tokens=2000
    )
    lines: list[str] = []
    disk = ExitStack()

    def fill(done: int, total: int | None, note: str = "") -> None:
        if done == 5:
            disk.enter_context(files_of_at_most(100_000))
        if done == 8:
            raise KeyboardInterrupt

    with disk, pytest.raises(KeyboardInterrupt):
        train(filter_, data_dir, tmp_path / "out", asked, progress=fill, say=lines.append)
    said = [line for line in lines if line.startswith("No checkpoint")]
    assert len(said) == 3, lines
    assert "step_4 is still there" in said[0]
    assert [path.name for path in checkpoints(folder)] == ["step_3", "step_4"]
    assert not list(folder.glob(".*.tmp"))
    again = changed(asked, resume="newest")
    assert train(filter_, data_dir, tmp_path / "out", again).metadata["complete"] is True

    def stop(done: int, total: int | None, note: str = "") -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(filter_, data_dir, tmp_path / "out", again, progress=stop, say=lines.append)
    assert "That run had ended" in lines[-1]


def test_only_so_many_are_kept_and_none_of_an_earlier_run(
    stopped: tuple[TrainSettings, Path], filter_: Filter, data_dir: Path
) -> None:
    asked, out = stopped
    folder = Path(asked.checkpoint_dir or "")
    anew = changed(asked, resume=None, keep=2, checkpoint_every=5)
    train(filter_, data_dir, out, anew)
    assert [path.name for path in checkpoints(folder)] == ["step_30", "step_35"]
    assert not [path for path in folder.rglob("*") if path.suffix in {".pt", ".bin", ".pkl"}]
