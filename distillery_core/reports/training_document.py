"""The training report as a Word document: summary, method, results with pictures, conclusions.

Every number comes from the run's own files and the record of its evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path

from distillery_core.filters.filter import Filter
from distillery_core.reports.calibration_words import (
    OWN,
    calibration_text,
    deployed,
    is_calibrated,
)
from distillery_core.reports.formatting import (
    compact,
    duration,
    fixed,
    integer,
    percent,
)
from distillery_core.reports.record import Line, Record
from distillery_core.reports.training_conclusions import conclusions
from distillery_core.reports.training_plots import Plot
from distillery_core.reports.training_record import (
    NOT_RECORDED,
    Training,
    TrainingFacts,
    TrainingReport,
    labelled_by,
)
from distillery_core.reports.training_tables import (
    dimensions_table,
    errors_table,
    lines_table,
    splits_table,
)
from distillery_core.reports.views import (
    finding_of,
    number_of,
    rivals_of,
    speed_of,
)
from distillery_core.reports.word import WordDocument
from distillery_core.student.selection import WORDS

_WIDTHS = {"predicted_vs_labelled.png": 0.85, "per_dimension_mae.png": 0.85,
           "overall_metrics.png": 0.285, "error_per_band.png": 0.62,
           "loss_curves.png": 0.5, "calibration_curve.png": 0.38}  # fmt: skip
"""Shares of the page's width, of a picture's panel where it says how many it has."""

_SETTINGS = {
    "method": "Method",
    "epochs": "Epochs at most",
    "effective_batch_size": "Articles a step",
    "learning_rate": "Learning rate",
    "warmup_steps": "Warm-up steps",
    "total_steps": "Steps",
    "max_length": "Tokens read of an article",
    "precision": "Precision",
    "best_by": "Kept epoch chosen by",
    "seed": "Seed",
    "device": "Device",
}
_OF_STEPS = {"epochs", "effective_batch_size", "warmup_steps", "total_steps", "best_by"}
"""Settings that say nothing of a head that was solved for."""


def write_document(path: Path, report: TrainingReport, plots: Sequence[Plot], folder: Path) -> None:
    """Write the document.

    Args:
        plots, folder: the pictures and where they lie.

    Raises:
        UserError: python-docx is not installed.
    """
    running = f"Distillery - training report of {report.label}"
    word = WordDocument(f"Training report: {report.name} v{report.version}", running, _date(report))
    pictures = {plot.name: plot for plot in plots}
    _about(word, report)
    _summary(word, report)
    _methodology(word, report)
    _results(word, report, pictures, folder)
    _conclusions(word, report)
    _origin(word, report)
    word.save(path)


def _date(report: TrainingReport) -> datetime:
    """When the evaluation, else the training, was finished: the document's own date."""
    shown = report.record.shown.get("date") if report.record else None
    for text in (shown, report.training.facts.finished_at):
        try:
            return datetime.fromisoformat(str(text)).astimezone(UTC)
        except ValueError:
            continue
    return datetime(1980, 1, 1, tzinfo=UTC)


def _about(word: WordDocument, report: TrainingReport) -> None:
    facts = report.training.facts
    told = [f"Base model {facts.base}"]
    if facts.finished_at:
        told.append(f"trained {facts.finished_at[:10]}")
    told.append(f"judged {str(report.record.shown.get('date'))[:10]}" if report.record else
                "not judged on test articles")  # fmt: skip
    word.paragraph(", ".join(told) + ".")


def _summary(word: WordDocument, report: TrainingReport) -> None:
    word.heading("Executive summary")
    found = conclusions(report.training, report.record)
    word.paragraph(found[0].text, bold=found[0].title)
    for one in found[1:]:
        word.bullet(one.title)
    if report.record is None:
        rows = [("Validation MAE", fixed(report.training.kept_epoch.val["mae"], 3))]
    else:
        rows = list(key_figures(report.record))
    word.table("Key figures.", ("Figure", "Value"), rows, (0.62, 0.38), right=(1,))


def key_figures(record: Record) -> Iterator[tuple[str, str]]:
    """The numbers that a reader wants first, each with its name; the verdict leads."""
    yield "Verdict", record.decision.word
    for line in record.decision.lines:
        if line.name in ("test_mae", "test_rmse"):
            name = f"{line.title}{deployed(record)}"
            yield f"{name} (points of 0-10, 95 % interval)", _with_interval(line)
    for rival in rivals_of(record)[1:]:
        yield f"MAE of {rival.name}", fixed(rival.mae, 3)
    floor = number_of(record, "noise_floor")
    if floor is not None:
        yield "Mean difference of the oracle to itself, asked twice", fixed(floor, 3)
    accuracy = number_of(record, "accuracy")
    if accuracy is not None:
        yield "Scores within 1.0 of the oracle's", percent(accuracy)
    finding = finding_of(record)
    if finding is not None:
        at = fixed(finding.threshold, 1)
        yield f"Recall of articles labelled {at} or more", percent(finding.recall)
        yield "Precision of those it reports", percent(finding.precision)
    speed = speed_of(record)
    if speed is not None:
        yield f"Articles a second on {speed.device}", fixed(speed.articles_per_s, 1)


def _with_interval(line: Line) -> str:
    return f"{line.value_text} ({line.interval_text})" if line.interval_text else line.value_text


def _methodology(word: WordDocument, report: TrainingReport) -> None:
    word.heading("Methodology")
    if report.filter is not None:
        _asked(word, report.filter, labelled_by(report.training))
    _data(word, report)
    _trained(word, report.training)
    if report.record is not None:
        _judged(word, report.record)


def _asked(word: WordDocument, filter: Filter, oracle: str) -> None:
    config = filter.config
    word.heading("What is scored", 2)
    if config.filter.description:
        word.paragraph(config.filter.description)
    word.paragraph(
        f"The oracle ({oracle or NOT_RECORDED}) scored every article from 0 to 10 on "
        f"{len(filter.dimensions)} dimensions; the model learned its scores. The overall score is "
        "the weighted mean, changed by the filter's score rules."
    )
    rows = [
        (name, fixed(dimension.weight), dimension.description)
        for name, dimension in config.scoring.dimensions.items()
    ]
    header = ("Dimension", "Weight", "What it asks")
    word.table("Dimensions of the filter.", header, rows, (0.24, 0.1, 0.66), right=(1,))


def _data(word: WordDocument, report: TrainingReport) -> None:
    word.heading("Data", 2)
    facts, record = report.training.facts, report.record
    counts: Mapping[str, int | None] = (
        record.counts if record else {"train": facts.train_examples, "val": facts.val_examples}
    )
    uses = {"train": "for training", "val": "for validation", "test": "to test"}
    parts = [
        f"{integer(counts[key])} {words}"
        for key, words in uses.items()
        if counts.get(key) is not None
    ]
    told = ", ".join(parts) or "not recorded"
    word.paragraph(
        f"Labelled articles: {told}. Near-duplicates are kept on one side of every split."
    )
    if facts.articles_cut_share:
        word.paragraph(
            f"{percent(facts.articles_cut_share)} of the training articles are longer than the "
            f"{integer(facts.max_length)} tokens that are read; of those the beginning and the end "
            "were read."
        )


def _trained(word: WordDocument, training: Training) -> None:
    facts = training.facts
    word.heading("Training", 2)
    spent = f" It took {duration(facts.seconds)}." if facts.seconds is not None else ""
    told = _base_trained(facts) if facts.frozen_head is None else _head_trained(facts)
    word.paragraph(f"{told} {_epochs_run(training)}{spent}")
    values = facts.model_dump(exclude=_OF_STEPS if facts.frozen_head == "ridge" else None)
    rows = [(title, _setting(key, values[key])) for key, title in _SETTINGS.items()
            if values.get(key) is not None]  # fmt: skip
    if rows:
        word.table("Settings of the run.", ("Setting", "Value"), rows, (0.5, 0.5), right=(1,))


def _base_trained(facts: TrainingFacts) -> str:
    size = f" of {compact(facts.num_parameters)} parameters" if facts.num_parameters else ""
    part = ""
    if facts.num_parameters and facts.num_trainable_parameters is not None:
        share = facts.num_trainable_parameters / facts.num_parameters
        part = f"; {'all' if share == 1 else percent(share, 2)} of them were trained"
    return f"The base model{size} got one output for each dimension{part}."


def _head_trained(facts: TrainingFacts) -> str:
    """Base and head apart: the record's number of parameters is that of both together."""
    total, trained = facts.num_parameters, facts.num_trainable_parameters
    of_base = of_head = ""
    if total and trained is not None:
        of_base = f" of {compact(total - trained)} parameters"
        of_head = f" of {compact(trained)} parameters"
    head = "an MLP" if facts.frozen_head == "mlp" else "a ridge"
    return (
        f"The base model{of_base} stayed as it was; {head} head{of_head}, with one output for "
        "each dimension, was fitted on what it reads in an article."
    )


def _epochs_run(training: Training) -> str:
    ran = len(training.epochs)
    if training.facts.frozen_head == "ridge":
        return "It was solved for in one step."
    if ran == 1:
        return "One epoch was run."
    return f"{ran} epochs were run and the weights of epoch {training.kept} kept."


def _setting(key: str, value: object) -> str:
    if key == "best_by":
        return next((word for by, word in WORDS.items() if by == value), str(value))
    if isinstance(value, float):
        return f"{value:g}"
    return integer(value) if isinstance(value, int) and key != "seed" else str(value)


def _judged(word: WordDocument, record: Record) -> None:
    word.heading("Evaluation", 2)
    n = record.counts.get("test")
    word.paragraph(
        f"The model scored {integer(n)} test articles that no part of the training saw. Errors are "
        "absolute differences to the oracle's scores; intervals are 95 % bootstrap intervals over "
        "articles. The verdict is computed from a table of limits that was fixed beforehand; "
        f"here it is read as for a {record.kind} filter ({record.shown.get('kind_reason')})."
    )


def _results(
    word: WordDocument, report: TrainingReport, pictures: Mapping[str, Plot], folder: Path
) -> None:
    def show(*names: str) -> None:
        for name in names:
            if name in pictures:
                plot = pictures[name]
                width = _WIDTHS[name] * plot.panels
                word.picture(folder / name, width, plot.caption, plot.words)

    word.heading("Results")
    word.heading("The course of training", 2)
    show("loss_curves.png", "overall_metrics.png", "per_dimension_mae.png")
    if is_calibrated(report.record):
        word.paragraph(f"All errors by epoch are {OWN}.")
    if report.record is None:
        splits_table(word, report)
        return
    word.heading("On test articles", 2)
    splits_table(word, report)
    dimensions_table(word, report.record)
    show("predicted_vs_labelled.png", "error_per_band.png", "calibration_curve.png")
    if told := calibration_text(report.record):
        word.heading("Calibration", 2)
        word.paragraph(told)
    word.heading("The verdict, line by line", 2)
    lines_table(word, report.record)


def _conclusions(word: WordDocument, report: TrainingReport) -> None:
    word.heading("Conclusions")
    for one in conclusions(report.training, report.record):
        word.bullet(one.text, bold=one.title)
    if report.record is None:
        return
    word.heading("What to do", 2)
    for advice in report.record.recommendations:
        word.markdown(advice, "List Bullet")
    word.markdown(report.record.next_step)
    errors_table(word, report.record)


def _origin(word: WordDocument, report: TrainingReport) -> None:
    word.heading("Where the numbers come from")
    evidence = dict(report.record.evidence) if report.record else {}
    facts = report.training.facts
    hashes = [(name.removesuffix("_sha256").replace("_", " "), value[:16])
              for name, value in sorted((facts.hashes | evidence).items())]  # fmt: skip
    versions = sorted(facts.versions.items())
    # Side by side: one below the other they are longer than the room that is mostly left.
    rows = [(*of, *by) for of, by in zip_longest(hashes, versions, fillvalue=("", ""))]
    if rows:
        caption = "Hashes (SHA-256, first 16 digits) and versions."
        header = ("Hash of", "Value", "Package", "Version")
        word.table(caption, header, rows, (0.22, 0.32, 0.23, 0.23))
    for line in report.missing:
        word.paragraph(line, bold="Not shown:")
