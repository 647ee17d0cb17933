"""The evidence as a reading model is shown it: numbers plain, every text fenced or defused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from distillery_core.agents.definition import ReadingSettings
from distillery_core.agents.evaluation_evidence import TestArticle
from distillery_core.agents.scored import ScoredArticle, valid
from distillery_core.fence import fence, neutralise
from distillery_core.filters.filter import Filter
from distillery_core.reports.formatting import fixed
from distillery_core.reports.markdown import cut, one_line
from distillery_core.types import Level
from distillery_core.verdicts.decision import Decision

_REASONING_CHARS = 600


def calibration_evidence(
    filter: Filter,
    scored: Sequence[ScoredArticle],
    decision: Decision,
    context: Mapping[str, Any],
    settings: ReadingSettings,
) -> dict[str, Any]:
    """What the calibration agent's prompt template shows."""
    return {
        "filter": filter.config.filter,
        "dimensions": filter.config.scoring.dimensions,
        "round": "validation" if "false_positives_worse" in context["measured"] else "calibration",
        "on_topic_at": context["on_topic_at"],
        "severe_at": context["severe_at"],
        "verdict": decision.word,
        "lines": line_texts(decision),
        "prompt": neutralise(filter.prompt_template),
        "articles": [_article(filter, one, settings) for one in _chosen(scored, context, settings)],
    }


def line_texts(decision: Decision) -> list[str]:
    """Each line that applies, in one sentence."""
    return [
        f"{line.title}: {line.value_text} ({line.level.name}; {line.reason})"
        for line in decision.lines
        if line.level is not Level.NOT_APPLICABLE
    ]


def _chosen(
    scored: Sequence[ScoredArticle], context: Mapping[str, Any], settings: ReadingSettings
) -> list[ScoredArticle]:
    """The worst errors, then others evenly from the highest to the lowest score."""
    errors = [*context["false_positives"], *context["misses"]]
    ids = {one.article.id for one in errors}
    rest = [one for one in valid(scored) if one.article.id not in ids]
    rest.sort(key=lambda one: (-(one.overall or 0.0), one.article.id))
    wanted = min(settings.others, len(rest))
    return errors + [rest[i * len(rest) // wanted] for i in range(wanted)]


def _article(filter: Filter, one: ScoredArticle, settings: ReadingSettings) -> dict[str, Any]:
    scores = one.scores or {}
    content = cut(one.article.content, settings.excerpt_chars)
    return {
        "id": neutralise(one_line(one.article.id)),
        "class": one.class_name,
        "class_reason": neutralise(one_line(one.class_reason)),
        "overall": fixed(one.overall, 1),
        "scores": ", ".join(f"{name} {fixed(scores[name], 1)}" for name in filter.dimensions),
        "reasoning": neutralise(cut(one_line(one.reasoning or ""), _REASONING_CHARS)),
        "text": fence(one.article.title, content),
    }


def evaluation_text(
    filter: Filter,
    decision: Decision,
    context: Mapping[str, Any],
    worst: Sequence[TestArticle],
    settings: ReadingSettings,
) -> dict[str, Any]:
    """What the evaluation agent's prompt template shows."""
    shown = ("dimensions", "bands", "epochs", "rivals", "kind", "model_name", "frozen_head")
    return {
        "filter": filter.config.filter,
        "verdict": decision.word,
        "lines": line_texts(decision),
        "articles": [_test_article(filter, one, settings) for one in worst],
        **{name: context[name] for name in shown},
    }


def _test_article(filter: Filter, one: TestArticle, settings: ReadingSettings) -> dict[str, Any]:
    pairs = zip(filter.dimensions, one.labels, one.predictions, strict=False)
    return {
        "id": neutralise(one_line(one.id)),
        "labelled": fixed(one.labelled, 1),
        "predicted": fixed(one.predicted, 1),
        "error": fixed(one.error, 2),
        "scores": ", ".join(f"{name} {fixed(a, 1)} / {fixed(b, 1)}" for name, a, b in pairs),
        "text": fence(
            cut(one_line(one.title), settings.excerpt_chars),
            cut(one.content, settings.excerpt_chars),
        ),
    }
