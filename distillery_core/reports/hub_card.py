"""The card of a published model: metadata in the hub's form, then what a reader has to know.

Every number is of the evaluation's record; article texts and titles are not in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from distillery_core.filters.filter import Filter
from distillery_core.filters.text_view import CONTROL
from distillery_core.reports.calibration_words import calibration_text, deployed
from distillery_core.reports.formatting import fixed, integer, signed
from distillery_core.reports.record import Record
from distillery_core.reports.templates import render_file
from distillery_core.reports.training_conclusions import conclusions
from distillery_core.reports.training_document import key_figures
from distillery_core.reports.training_record import (
    NOT_RECORDED,
    SOME_ORACLE,
    Training,
    base_name,
    labelled_by,
)
from distillery_core.reports.views import dimensions_of, rivals_of

_HERE = Path(__file__).parent
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence as the hub names it; `other` has a name and a link of its own."""

    id: str
    name: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the model reads a text, for the snippet.

    Attributes:
        max_length: most tokens, those before and after the text included.
        before, after: ids that frame a text.
        calibrated: whether `score_calibration.json` is applied.
    """

    max_length: int
    max_chars: int
    head_share: float
    before: tuple[int, ...]
    after: tuple[int, ...]
    calibrated: bool


@dataclass(frozen=True)
class Card:
    """What a card is made of.

    Attributes:
        repo: `owner/name`.
        record: of the evaluation of this very model; None with `why_not_judged`.
        training: None where the run's files are not of this model.
        hashes: name -> hash of model, data, prompt.
        approved: a person let a REVIEW through.
    """

    repo: str
    filter: Filter
    licence: Licence
    reading: Reading
    base: str
    hashes: Mapping[str, str]
    record: Record | None
    training: Training | None
    approved: bool
    why_not_judged: str = ""


def render_card(card: Card) -> str:
    """README.md of the repository; the same facts give the same bytes."""
    head = yaml.safe_dump(_metadata(card), sort_keys=False, allow_unicode=True, width=1000)
    body = render_file(_HERE / "hub_card.md.j2", _context(card))
    return f"---\n{head}---\n\n{body}"


def usage(card: Card) -> str:
    """The snippet that scores an article with plain transformers."""
    reading = card.reading
    room = reading.max_length - len(reading.before) - len(reading.after)
    head = max(1, round(room * reading.head_share))
    facts = {
        "control": Markup(CONTROL),  # noqa: S704  # our own pattern
        "repo": Markup(card.repo),  # noqa: S704  # `_HUB_ID` checked it
        "calibrated": reading.calibrated,
        "room": room,
        "head": head,
        "tail": room - head,
        "before": Markup(list(reading.before)),  # noqa: S704  # whole numbers
        "after": Markup(list(reading.after)),  # noqa: S704  # whole numbers
    }
    return render_file(_HERE / "hub_usage.py.j2", facts)


def is_hub_id(name: str) -> bool:
    """Whether a name is `owner/name`, as a repository's or a base model's on the hub."""
    return _HUB_ID.fullmatch(name) is not None


def _metadata(card: Card) -> dict[str, Any]:
    """The front matter, in the form that the hub reads."""
    licence = card.licence
    found: dict[str, Any] = {"license": licence.id}
    if licence.name:
        found |= {"license_name": licence.name, "license_link": licence.link}
    if is_hub_id(card.base) and not _base_is_folder(card):
        found["base_model"] = card.base
    found |= {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["distillery", "regression", "news", card.filter.name],
    }
    if card.record is not None and (metrics := list(_metrics(card.record))):
        found["metrics"] = ["mae", "rmse", "spearmanr"]
        found["model-index"] = [_model_index(card, metrics)]
    return found


def _model_index(card: Card, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    filter = card.filter
    dataset = {
        "name": f"{filter.label}, labelled by {labelled_by(card.training) or SOME_ORACLE}",
        "type": filter.slug,
        "split": "test",
        "revision": card.hashes.get("dataset_sha256", ""),
    }
    task = {"type": "text-classification", "name": "Text regression, scores 0-10"}
    result = {"task": task, "dataset": dataset, "metrics": metrics}
    return {"name": card.repo.rpartition("/")[2], "results": [result]}


def _metrics(record: Record) -> Iterator[dict[str, Any]]:
    rivals = rivals_of(record)
    if not rivals:
        return
    told = (("mae", "Test MAE"), ("rmse", "Test RMSE"), ("spearman", "Test Spearman"))
    for key, name in told:
        value = getattr(rivals[0], key)
        if value is not None:
            kind = "spearmanr" if key == "spearman" else key
            yield {"type": kind, "value": round(value, 4), "name": name}
    for one in dimensions_of(record):
        yield {"type": "mae", "value": round(one.mae, 4), "name": f"Test MAE of {one.name}"}


def _context(card: Card) -> dict[str, Any]:
    filter, config, record = card.filter, card.filter.config, card.record
    return {
        "name": filter.name,
        "version": filter.version,
        "description": config.filter.description,
        "dimensions": filter.dimensions,
        "labelled_by": labelled_by(card.training),
        "oracles": len(card.training.facts.labelled_by) if card.training else 0,
        "usage": Markup(usage(card)).rstrip(),  # noqa: S704  # made of numbers and a checked name
        "calibrated": card.reading.calibrated,
        "max_chars": card.reading.max_chars,
        "asked": [
            (name, fixed(one.weight), one.description)
            for name, one in config.scoring.dimensions.items()
        ],
        "scope": config.filter.scope,
        "verdict": record.decision.word if record else "",
        "approved": card.approved,
        "test_articles": record.counts.get("test") if record else None,
        "figures": list(key_figures(record))[1:] if record else [],
        "errors": _errors(record) if record else [],
        "deployed": deployed(record, "{}"),
        "calibration": calibration_text(record) if record else "",
        "conclusions": conclusions(card.training, record)[1:] if record else [],
        "why_not_judged": card.why_not_judged,
        "origin": list(_origin(card)),
        "licence": card.licence.name or card.licence.id,
    }


def _errors(record: Record) -> list[tuple[str, ...]]:
    return [
        (one.name, fixed(one.mae), signed(one.bias), fixed(one.spearman))
        for one in dimensions_of(record)
    ]


def _origin(card: Card) -> Iterator[tuple[str, str]]:
    yield "base model", base_name(card.base, is_folder=_base_is_folder(card))
    if card.training is not None:
        facts = card.training.facts
        yield "labels given by", labelled_by(card.training) or NOT_RECORDED
        yield "training articles", integer(facts.train_examples)
        yield "validation articles", integer(facts.val_examples)
        if facts.method:
            yield "method", facts.method
        if facts.frozen_head != "ridge":
            yield "epochs, kept", f"{len(card.training.epochs)}, {card.training.kept}"
    for name, value in sorted(card.hashes.items()):
        yield f"{name.removesuffix('_sha256').replace('_', ' ')} (SHA-256)", value


def _base_is_folder(card: Card) -> bool | None:
    """As training recorded it; None for a record that does not say."""
    return None if card.training is None else card.training.facts.base_is_folder
