"""Recommendations by rule: each line that is not in order names an action with its numbers.

The actions are small templates in agent.yaml over `value`, `n`, `count`, `note`, `limit` of the
line and the `facts` of the agent; whatever they print from the evidence is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from distillery_core.agents.definition import AGENT_FILE, Agent
from distillery_core.reports.templates import render_text
from distillery_core.types import Level
from distillery_core.verdicts.decision import READING, Decision
from distillery_core.verdicts.judgement import LineResult


def recommendations(agent: Agent, decision: Decision, facts: Mapping[str, Any]) -> list[Markup]:
    """One action for each line that is REVIEW or FAIL, the worst first, none twice."""
    wanting = [
        line
        for level in (Level.FAIL, Level.REVIEW)
        for line in decision.lines
        if line.level is level and line.decides and line.name != READING
    ]
    return list(dict.fromkeys(_action(agent, line, facts) for line in wanting))


def next_step(agent: Agent, round: str, decision: Decision, facts: Mapping[str, Any]) -> Markup:
    """What follows the verdict, from agent.yaml."""
    return _rendered(agent, agent.declared.next[round].for_level(decision.level), facts)


def _action(agent: Agent, line: LineResult, facts: Mapping[str, Any]) -> Markup:
    declared = agent.declared.actions.get(line.name)
    text = declared.for_level(line.level, line.insufficient) if declared else None
    if text is None:
        text = agent.declared.insufficient
    measured = line.measurement
    values = {
        "title": line.title,
        "reason": line.reason,
        "value": line.value_text,
        "limit": line.ok_text,
        "n": measured.n,
        "count": measured.count,
        "note": measured.note,
        "minimum": line.line.minimum_n if line.line else None,
    }
    return _rendered(agent, text, {**facts, **values})


def _rendered(agent: Agent, text: str, values: Mapping[str, Any]) -> Markup:
    rendered = render_text(text, values, where=agent.folder / AGENT_FILE)
    return Markup(" ".join(rendered.split()))  # noqa: S704  # `render_text` escapes what it prints
