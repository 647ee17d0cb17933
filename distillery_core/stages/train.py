"""Train the student of a filter."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillery_core.errors import UserError
from distillery_core.filters import Filter
from distillery_core.plugins.manager import load_plugins
from distillery_core.stages.project import Project, adopt
from distillery_core.stages.promote import keep_promoted
from distillery_core.stages.training_folders import alone_in, is_own_home, with_folders
from distillery_core.tracking import track
from distillery_core.types import Progress, silent

if TYPE_CHECKING:
    from distillery_core.student.planning.plan import Plan
    from distillery_core.student.result import TrainResult
    from distillery_core.student.settings import TrainSettings


def train(
    project: Project,
    filter: Filter,
    *,
    data_dir: Path | None = None,
    output_dir: Path | None = None,
    config: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    mlflow: bool = True,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda line: None,
) -> TrainResult:
    """Train on a dataset folder; the model lands in the filter's home in the project.

    Args:
        config: a training config in YAML; it wins over the filter's `training` section.
        overrides: fields of `TrainSettings` that win over both; None values are ignored.
        mlflow: record parameters and metrics of every epoch.

    Raises:
        UserError: another run writes into the same folder.
        UserError, CheckFailed: as the backend's, by default `student.training.train`.
    """
    filter = adopt(project, filter)
    home = output_dir or project.home(filter)
    settings = with_folders(project, filter, home, resolved(filter, config, overrides or {}))
    # After the settings, so that a mistake in them is said before torch is loaded.
    from distillery_core.student.record import HISTORY, METADATA
    from distillery_core.student.training_config import CONFIG

    train_student = _backend(filter.config.training.backend)
    # Of several processes that share a run the first one writes, records, and holds the locks.
    writes = is_main_process()
    written = [home, Path(settings.checkpoint_dir or home)] if writes else []
    tracked = track(f"train {filter.slug}", project.root, enabled=mlflow and writes)
    with alone_in(project, *written), tracked as tracker:
        if writes and is_own_home(project, filter, home):
            keep_promoted(project, filter)
        data = data_dir or project.training_dir(filter)
        result = train_student(filter, data, home, settings, tracker, progress, say)
        tracker.metrics({"best_val_mae": result.best_val_mae})
        for name in (HISTORY, METADATA, CONFIG):
            if (home / name).is_file():
                tracker.file(home / name)
    return result


def plan(
    project: Project,
    filter: Filter,
    *,
    device: str = "auto",
    devices: int = 1,
    data_dir: Path | None = None,
    config: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    usd_per_hour: float | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Plan:
    """What training would take on a device, from the base's configuration alone.

    Args:
        device: auto, cpu, cuda, or the name of a card ("RTX 4090", "A100 80GB").
        devices: processes that share the run, one a GPU.
        usd_per_hour: what the device costs, in place of the price in the table of cards.
        say: told what could not be had of the base's description.

    Raises:
        UserError: the base or the card is not known, the base reads no articles of that length,
            weights are to be shared out, no price, or no articles in the `data_dir` that is given.
    """
    from distillery_core.student.planning.auto import decide
    from distillery_core.student.planning.plan import make_plan, workload

    settings = resolved(filter, config, overrides or {})
    if settings.fsdp:
        what = "the plan does not count weights that are shared out"
        raise UserError(what, "--fsdp", "leave it out, with --plan")
    outputs = len(filter.dimensions)
    found = decide(
        settings,
        outputs,
        device=device,
        processes=devices,
        here=devices,
        usd_per_hour=usd_per_hour,
        say=say,
    )
    folder = data_dir or project.training_dir(filter)
    chars = _char_counts(folder / "train.jsonl", filter)
    if data_dir is not None and not chars:
        hint = "leave --data-dir out to plan without a dataset"
        raise UserError("there is no train.jsonl with articles", where=data_dir, hint=hint)
    work = workload(chars, settings.max_length, f"estimated from {project.relative(folder)}")
    return make_plan(found.settings, found.shape, found.target, work)


def resolved(filter: Filter, config: Path | None, overrides: Mapping[str, Any]) -> TrainSettings:
    """The settings of a run: the filter's, the config's over them, the command line's over both.

    Raises:
        UserErrors: every mistake in the config, or in the settings.
    """
    from distillery_core.student.settings import TrainSettings
    from distillery_core.student.training_config import laid_over, read_config, refuse_other_filter

    given: dict[str, Any] = {}
    if config is not None:
        read = read_config(config)
        refuse_other_filter(read, filter, config)
        given = read.settings()
    return TrainSettings.from_config(filter.config.training, **laid_over(given, overrides))


def config_filter(config: Path) -> str:
    """The filter that a training config names by its path.

    Raises:
        UserError: it names none.
    """
    from distillery_core.student.training_config import read_config

    path = read_config(config).filter.path
    if path is None:
        raise UserError("filter.path is not given", where=config, hint="name it with --filter")
    return path


def is_main_process() -> bool:
    """Whether this process writes and speaks: the only one, or the first of those that `torchrun`
    or `accelerate launch` started."""
    return os.environ.get("RANK", "0") == "0"


def _char_counts(path: Path, filter: Filter) -> list[int]:
    """Characters that the student reads of each training article; none without a dataset."""
    from distillery_core.dataset.rows import read_examples

    if not path.is_file():
        return []
    most = filter.config.text.max_chars
    return [min(len(e.title) + len(e.content), most) for e in read_examples(path)]


def _backend(name: str) -> Callable[..., TrainResult]:
    """The training function of a student backend.

    Raises:
        UserError: no plugin brings it.
    """
    known = load_plugins().students
    if name not in known:
        hint = f"known: {', '.join(sorted(known))}; `distillery plugins` says what is broken"
        raise UserError(f"no student backend {name!r}", "training.backend", hint)
    train_student: Callable[..., TrainResult] = known[name].load()
    return train_student
