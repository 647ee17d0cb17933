"""Blind judgements of scope: a reader says what an article is about without seeing any score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from distillery_core.agents.definition import PROMPT, Agent
from distillery_core.agents.reader import Inquiry, Question, Reader, Unanswered
from distillery_core.agents.reading import prompt_block
from distillery_core.agents.scored import ScoredArticle
from distillery_core.dataset.classes import CLASSES
from distillery_core.fence import fence
from distillery_core.filters.filter import Filter
from distillery_core.filters.text_view import text_view

_TOKENS = 200
_REASON_CHARS = 300


@dataclass(frozen=True)
class Judged:
    """A sample with the classes a reader gave; `complete` if no article was left to the rules."""

    scored: list[ScoredArticle]
    complete: bool
    by: str


def judge_scopes(
    agent: Agent, filter: Filter, scored: Sequence[ScoredArticle], reader: Reader
) -> Judged:
    """Let a reader judge each article's class.

    An article without a usable judgement keeps the sampler's class, and the classes then do not
    count as reviewed.
    """
    answers = reader.ask(_inquiry(agent, filter, scored))
    judged = [
        one if isinstance(answer, Unanswered) else _reclassified(one, _check(answer))
        for one, answer in zip(scored, answers, strict=True)
    ]
    complete = not any(isinstance(answer, Unanswered) for answer in answers)
    return Judged(judged, complete, reader.name)


def _inquiry(agent: Agent, filter: Filter, scored: Sequence[ScoredArticle]) -> Inquiry:
    properties = {
        "reason": {"type": "string"},
        "class": {"type": "string", "enum": list(CLASSES)},
    }
    return Inquiry(
        questions=[_question(agent, filter, one) for one in scored],
        schema={
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
        schema_name="scope",
        max_output_tokens=_TOKENS,
        temperature=agent.declared.reading.temperature,
        check=_check,
    )


def _question(agent: Agent, filter: Filter, one: ScoredArticle) -> Question:
    view = text_view(one.article.title, one.article.content, filter.config.text)
    context = {"filter": filter.config.filter, "article": fence(view.title, view.content)}
    return Question(
        subject=one.article.id,
        system=prompt_block(agent.folder / PROMPT, "scope_system", context),
        user=prompt_block(agent.folder / PROMPT, "scope_user", context),
    )


def _check(value: Mapping[str, Any]) -> tuple[str, str]:
    if set(value) != {"class", "reason"}:
        raise ValueError("an object with class and reason is needed")
    if value["class"] not in CLASSES or not isinstance(value["reason"], str):
        raise ValueError(f"class is {value['class']!r:.40}, not one of {', '.join(CLASSES)}")
    return value["class"], value["reason"][:_REASON_CHARS]


def _reclassified(one: ScoredArticle, answer: tuple[str, str]) -> ScoredArticle:
    name, reason = answer
    known = next(label for label in CLASSES if label == name)
    return replace(one, class_name=known, class_reason=reason)
