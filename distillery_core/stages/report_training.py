"""A training run as plots, as a summary and as a Word document.

Where the model's evaluation is at hand and is of this very model, its numbers are shown too; where
it is not, what is left out is said.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from distillery_core.errors import UserError
from distillery_core.files import write_text
from distillery_core.filters import Filter, list_filters, load_filter
from distillery_core.reports.record import Record, record_of
from distillery_core.reports.training_document import write_document
from distillery_core.reports.training_plots import OF_TEST, OF_TRAINING, write_training_plots
from distillery_core.reports.training_record import Training, TrainingReport, read_training
from distillery_core.reports.training_summary import training_summary
from distillery_core.reports.word import need_docx
from distillery_core.stages.evaluation_folder import evaluation_folder, is_own_model
from distillery_core.stages.gates import REPORTS
from distillery_core.stages.project import Project
from distillery_core.stages.report import report_states
from distillery_core.verdicts.front_matter import read_report

HISTORY, METADATA = "training_history.json", "training_metadata.json"
SUMMARY = "training_summary.txt"

_PLACE = re.compile(r"v(\d+)")


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """What was written, and what could not be shown."""

    folder: Path
    files: tuple[Path, ...]
    missing: tuple[str, ...]


def plot_training(
    project: Project,
    filter: Filter | None = None,
    *,
    history: Path | None = None,
    metadata: Path | None = None,
    output_dir: Path | None = None,
) -> WrittenReport:
    """Write the plots and the summary of a run; plots that it does not have are taken away.

    Args:
        history, metadata: default the filter's own; metadata that lies beside the history is read.
        output_dir: default `reports/<filter>_v<N>_plots`.

    Raises:
        UserError: no run is named or found, or a file is not understood.
    """
    report = _gathered(project, filter, history, metadata)
    folder = output_dir or _plots_folder(project, report)
    plots = write_training_plots(folder, report.training, report.record)
    for name in {*OF_TRAINING, *OF_TEST} - {plot.name for plot in plots}:
        (folder / name).unlink(missing_ok=True)  # an earlier model's
    write_text(folder / SUMMARY, training_summary(report))
    files = (*(folder / plot.name for plot in plots), folder / SUMMARY)
    return WrittenReport(folder, files, report.missing)


def write_training_report(
    project: Project,
    filter: Filter | None = None,
    *,
    history: Path | None = None,
    metadata: Path | None = None,
    output: Path | None = None,
) -> WrittenReport:
    """Write the Word document; the plots that it holds are drawn anew, beside no others.

    Args:
        output: default `reports/<filter>_v<N>_training_report.docx`.

    Raises:
        UserError: as `plot_training`; python-docx is not installed.
    """
    need_docx()
    report = _gathered(project, filter, history, metadata)
    path = output or project.root / "reports" / f"{_slug(report)}_training_report.docx"
    with tempfile.TemporaryDirectory(prefix="distillery-plots-") as folder:
        plots = write_training_plots(Path(folder), report.training, report.record)
        write_document(path, report, plots, Path(folder))
    return WrittenReport(path.parent, (path,), report.missing)


def only_trained_filter(project: Project) -> Filter:
    """The one filter with a training run, where none was named.

    Raises:
        UserError: there is none, or more than one.
    """
    root = project.root.resolve()
    found = [
        entry
        for entry in list_filters(project.root)
        if entry.folder.resolve().is_relative_to(root) and (entry.folder / HISTORY).is_file()
    ]
    if not found:
        raise UserError("no filter has a trained model yet", project.root, "distillery train")
    if len(found) > 1:
        names = ", ".join(f"{one.folder.parent.name}:{one.folder.name}" for one in found)
        raise UserError(f"several filters have been trained: {names}", hint="name one: --filter")
    return load_filter(found[0].folder, found[0].origin)


def record_of_model(
    project: Project, filter: Filter, model_sha256: str | None
) -> tuple[Record | None, str]:
    """The record of the evaluation of exactly this model; else None and why there is none.

    Args:
        model_sha256: of the model; None where it is not known, which fits no record.
    """
    states = report_states(project, filter, absent_is_fine=True)
    state = next((one for one in states if one.kind == "evaluation"), None)
    command = f"distillery evaluate --filter {filter.label}"
    if state is None:
        return None, f"the model has not been evaluated ({command})"
    if state.record is None:
        return None, f"the evaluation is not whole: {'; '.join(state.besides)}"
    if model_sha256 is None or state.record.evidence.get("model_sha256") != model_sha256:
        return None, f"the evaluation at hand is of another model ({command})"
    return state.record, ""


def _record_beside(
    project: Project, filter: Filter, model: Path, model_sha256: str
) -> tuple[Record | None, str]:
    """As `record_of_model`, of a model that is not the filter's own: its report lies elsewhere."""
    path = evaluation_folder(project, filter, model) / REPORTS["evaluation"]
    place = shlex.quote(project.relative(model))
    command = f"distillery evaluate --filter {filter.label} --model-dir {place}"
    if not path.exists():
        return None, f"the model has not been evaluated ({command})"
    try:
        record = record_of(path, read_report(path))
    except UserError as error:
        return None, f"the evaluation is not whole: {error.where}: {error.what}"
    if record is None or record.evidence.get("model_sha256") != model_sha256:
        return None, f"the evaluation at hand is of another model ({command})"
    return record, ""


def _gathered(
    project: Project, filter: Filter | None, history: Path | None, metadata: Path | None
) -> TrainingReport:
    if filter is None and history is None:
        filter = only_trained_filter(project)
    history, metadata = _files(project, filter, history, metadata)
    training = read_training(history, metadata)
    missing = [] if metadata else [f"settings of the run: {METADATA} is not at hand"]
    if filter is None:
        name, version = _whose(training, history)
        filter = _in_project(project, name, version)
    else:
        name, version = filter.name, filter.version
        _refuse_other(training, filter, metadata)
    record, why = None, "the filter is not in this project, and so no evaluation of its model"
    if filter is not None:
        record, why = _judged(project, filter, training, history.parent / "model")
    if record is None:
        missing.append(f"results on test articles: {why}")
    return TrainingReport(name, version, training, filter, record, tuple(missing))


def _judged(
    project: Project, filter: Filter, training: Training, model: Path
) -> tuple[Record | None, str]:
    """The record of a run's model, which lies in the filter's folder or where the run left it."""
    digest = training.facts.hashes.get("model_sha256")
    own = record_of_model(project, filter, digest)
    if own[0] is not None or digest is None or is_own_model(project, filter, model):
        return own
    return _record_beside(project, filter, model, digest)


def _files(
    project: Project, filter: Filter | None, history: Path | None, metadata: Path | None
) -> tuple[Path, Path | None]:
    if history is None:
        assert filter is not None  # noqa: S101  # `_gathered` chose one
        history = project.home(filter) / HISTORY
    beside = history.with_name(METADATA)
    return history, metadata or (beside if beside.is_file() else None)


def _whose(training: Training, history: Path) -> tuple[str, int]:
    """Filter and version: as the metadata names them, else as the folders do."""
    facts = training.facts
    if facts.filter_name and facts.filter_version:
        number = facts.filter_version.partition(".")[0]
        if re.fullmatch(r"[a-z][a-z0-9_]*", facts.filter_name) and number.isdigit():
            return facts.filter_name, int(number)
    folder = history.resolve().parent
    match = _PLACE.fullmatch(folder.name)
    if match is None:
        what = "does not say which filter it is of"
        raise UserError(what, where=history, hint="name it: --filter")
    return folder.parent.name, int(match[1])


def _in_project(project: Project, name: str, version: int) -> Filter | None:
    folder = project.root / "filters" / name / f"v{version}"
    return load_filter(folder) if (folder / "config.yaml").is_file() else None


def _refuse_other(training: Training, filter: Filter, metadata: Path | None) -> None:
    named = training.facts.filter_name
    if named is not None and named != filter.name:
        what = f"is the run of {named!r}, not of {filter.name!r}"
        raise UserError(what, where=metadata, hint="name the filter that it belongs to")


def _slug(report: TrainingReport) -> str:
    return f"{report.name}_v{report.version}"


def _plots_folder(project: Project, report: TrainingReport) -> Path:
    return project.root / "reports" / f"{_slug(report)}_plots"
