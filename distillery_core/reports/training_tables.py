"""The tables in the results of the Word report."""

from __future__ import annotations

from collections.abc import Iterator

from distillery_core.reports.calibration_words import DEPLOYED, OWN, deployed, is_calibrated
from distillery_core.reports.formatting import NONE, fixed, integer, signed
from distillery_core.reports.markdown import cut, one_line
from distillery_core.reports.record import Line, Record
from distillery_core.reports.training_record import TrainingFacts, TrainingReport
from distillery_core.reports.views import (
    SplitErrors,
    dimensions_of,
    rivals_of,
    splits_of,
    worst_of,
)
from distillery_core.reports.word import WordDocument

_SHOWN_ERRORS = 5
_TITLE_CHARS = 90


def splits_table(word: WordDocument, report: TrainingReport) -> None:
    """Errors by split; where there is a calibration, of raw scores and as deployed."""
    caption = "Errors by split."
    if report.record is not None and (found := splits_of(report.record)):
        rows = [(one.name, _articles(one, report.training.facts), fixed(one.mae, 3),
                 fixed(one.rmse, 3)) for one in found]  # fmt: skip
        if is_calibrated(report.record):
            caption = f"Errors by split: {OWN}, and of the test articles {DEPLOYED} too."
            rows = [(f"{name} ({OWN})", count, mae, rmse) for name, count, mae, rmse in rows]
            rows += _deployed(report.record)
    else:
        kept, facts = report.training.kept_epoch, report.training.facts
        rows = [
            (name, count, fixed(metrics.get("mae"), 3), fixed(metrics.get("rmse"), 3))
            for name, count, metrics in (
                ("train", facts.evaluated, kept.train),
                ("validation", integer(facts.val_examples), kept.val),
            )
        ]
    header = ("Split", "Articles", "MAE", "RMSE")
    word.table(caption, header, rows, (0.4, 0.2, 0.2, 0.2), right=(1, 2, 3))


def _articles(split: SplitErrors, facts: TrainingFacts) -> str:
    """How many articles a split's errors are of."""
    return facts.evaluated if split.name == "train" else integer(split.articles)


def _deployed(record: Record) -> Iterator[tuple[str, str, str, str]]:
    """The test split as it is judged, beside the splits of which the model's own scores are."""
    for model in rivals_of(record)[:1]:
        count = integer(record.counts.get("test"))
        yield f"test ({DEPLOYED})", count, fixed(model.mae, 3), fixed(model.rmse, 3)


def dimensions_table(word: WordDocument, record: Record) -> None:
    """Errors by dimension, beside the two simple methods."""
    rows = [
        (one.name, fixed(one.mae), signed(one.bias), fixed(one.spearman), fixed(one.tfidf_mae),
         fixed(one.constant_mae))
        for one in dimensions_of(record)
    ]  # fmt: skip
    header = ("Dimension", "MAE", "Bias", "Spearman", "MAE of TF-IDF", "MAE of a constant")
    widths = (0.28, 0.1, 0.1, 0.14, 0.18, 0.2)
    if rows:
        caption = f"Errors by dimension{deployed(record, ' ({})')}, beside the two simple methods."
        word.table(caption, header, rows, widths, right=range(1, 6))


def errors_table(word: WordDocument, record: Record) -> None:
    """The articles with the largest errors."""
    worst = worst_of(record)[:_SHOWN_ERRORS]
    rows = [
        (cut(one_line(one.title or one.id), _TITLE_CHARS), fixed(one.labelled),
         fixed(one.predicted), fixed(one.error))
        for one in worst
    ]  # fmt: skip
    header = ("Article", "Labelled", "Predicted", "Mean error")
    if rows:
        caption = (
            "The largest errors: overall scores, and the mean absolute error over the dimensions. "
            "A wrong label among them is worth more than any training."
        )
        word.table(caption, header, rows, (0.58, 0.13, 0.14, 0.15), right=(1, 2, 3))


def lines_table(word: WordDocument, record: Record) -> None:
    """The verdict line by line, with its limits."""
    rows = [_line(line) for line in record.decision.lines if line.level != "NOT_APPLICABLE"]
    words = record.words
    header = ("Line", "Measured", "95 % interval", words.ok, words.fail, "Verdict")
    widths = (0.28, 0.11, 0.2, 0.12, 0.11, 0.18)
    caption = f"Every line that applies; {words.ok} and {words.fail} are its limits."
    if is_calibrated(record):
        caption += f" Differences between splits are of errors {OWN}, all other errors {DEPLOYED}."
    word.table(caption, header, rows, widths, right=(1,))


def _line(line: Line) -> tuple[str, ...]:
    verdict = f"{line.word}: too few" if line.insufficient else line.word
    told = verdict if line.decides else f"{verdict} (told only)"
    limits = (line.interval_text or NONE, line.ok_text or NONE, line.fail_text or NONE)
    return (line.title, line.value_text or NONE, *limits, told)
