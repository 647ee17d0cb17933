"""The final numbers of a training run as plain text, for a terminal or a message."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from distillery_core.reports.calibration_words import (
    DEPLOYED,
    OWN,
    calibration_text,
    is_calibrated,
)
from distillery_core.reports.formatting import NONE, duration, fixed, integer, signed
from distillery_core.reports.markdown import one_line
from distillery_core.reports.training_conclusions import conclusions
from distillery_core.reports.training_record import Training, TrainingReport
from distillery_core.reports.views import dimensions_of, rivals_of, splits_of

_WIDTH = 78


def training_summary(report: TrainingReport) -> str:
    """The summary; the same run gives the same text."""
    head = f"Training of {report.label}"
    parts = [
        [head, "=" * len(head)],
        list(_facts(report.training)),
        _splits(report),
        _table(("epoch", "train MAE", "val MAE", "change", ""), _course(report.training)),
        ["What follows", "------------", *_follows(report)],
    ]
    if report.record and (told := calibration_text(report.record)):
        parts.insert(-1, ["Calibration", "-----------", _wrapped(one_line(told))])
    if report.missing:
        parts.append(["Not shown", "---------", *(f"- {line}" for line in report.missing)])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


_SPLITS = ("train", "validation", "test")


def _facts(training: Training) -> Iterator[str]:
    facts = training.facts
    told = {
        "base model": facts.model_name,
        "method": facts.method,
        "parameters": None if facts.num_parameters is None else integer(facts.num_parameters),
        "epochs": None
        if facts.frozen_head == "ridge"
        else f"{len(training.epochs)}, kept {training.kept}",
        "articles": None
        if facts.train_examples is None
        else f"{integer(facts.train_examples)} train, {integer(facts.val_examples)} validation",
        "device": facts.device,
        "time": None if facts.seconds is None else duration(facts.seconds),
        "finished": facts.finished_at,
    }
    for name, value in told.items():
        if value is not None:
            yield f"{name + ':':12} {one_line(value)}"


def _splits(report: TrainingReport) -> list[str]:
    """Errors of each split; where scores are calibrated, those as deployed in a column more."""
    rows, evaluated = _errors(report), report.training.facts.evaluated
    part = [f"train: on {evaluated} articles"] if " of " in evaluated else []
    if not is_calibrated(report.record):
        return [*_table(("MAE", *_SPLITS), rows), *part]
    test = next((one for one in splits_of(report.record) if one.name == "test"), None)
    own = [fixed(one, 3) for one in ((test.mae, test.rmse) if test else ())]
    own += [NONE] * (len(rows) - len(own))
    wide = [(*row[:-1], mine, row[-1]) for row, mine in zip(rows, own, strict=True)]
    told = [*part, f"{', '.join(_SPLITS)}: {OWN}", f"deployed: test {DEPLOYED}"]
    return [*_table(("MAE", *_SPLITS, "deployed"), wide), *told]


def _errors(report: TrainingReport) -> list[tuple[str, ...]]:
    """MAE of each split: overall, RMSE, and of each dimension; train and validation at the kept
    epoch, test as it is deployed and judged."""
    kept, record = report.training.kept_epoch, report.record
    model = next(iter(rivals_of(record)), None) if record else None
    by_name = {one.name: one.mae for one in dimensions_of(record)} if record else {}
    mae, rmse = (model.mae, model.rmse) if model else (None, None)
    rows: list[tuple[str, ...]] = [
        ("all", _of(kept.train, "mae"), _of(kept.val, "mae"), fixed(mae, 3)),
        ("(RMSE)", _of(kept.train, "rmse"), _of(kept.val, "rmse"), fixed(rmse, 3)),
    ]
    for name in report.training.dimensions:
        key = f"{name}_mae"
        rows.append((name, _of(kept.train, key), _of(kept.val, key), fixed(by_name.get(name), 3)))
    return rows


def _of(metrics: dict[str, float | None], key: str) -> str:
    return fixed(metrics.get(key), 3)


def _course(training: Training) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    before = None
    for number, epoch in enumerate(training.epochs, 1):
        now = epoch.val["mae"]
        change = signed(now - before, 3) if now is not None and before is not None else "-"
        mark = "kept" if number == training.kept else ""
        rows.append((str(epoch.epoch), _of(epoch.train, "mae"), fixed(now, 3), change, mark))
        before = now
    return rows


def _follows(report: TrainingReport) -> list[str]:
    found = conclusions(report.training, report.record)
    return [_wrapped(f"- {one.title} {one.text}", indent="  ") for one in found]


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, numbers to the right."""
    table = [header, *rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(header))]
    lines = []
    for row in table:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
