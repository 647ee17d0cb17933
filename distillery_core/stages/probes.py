"""Asks the oracle about articles with known attacks in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distillery_core.agents.definition import Agent
from distillery_core.agents.probes import (
    Probe,
    Probed,
    ProbeResult,
    choose_probes,
    load_attacks,
)
from distillery_core.agents.scored import ScoredArticle
from distillery_core.fence import fence_content, normalised_key
from distillery_core.filters import Filter
from distillery_core.filters.score_rules import overall
from distillery_core.filters.text_view import pattern_text
from distillery_core.labelling.run import Label, question_of
from distillery_core.oracle.opening import FROM_FILTER
from distillery_core.oracle.recording import load_recordings
from distillery_core.oracle.spec import OracleSpec
from distillery_core.stages.asking import Answers, Asking
from distillery_core.stages.oracles import recording_folder

PURPOSE = "probe"
_NOT_RECORDED = "recorded answers, none of them to an attack"
LEFT_OUT = "left out (--no-probes)"


def ask_probes(
    agent: Agent, asking: Asking, scored: Sequence[ScoredArticle], wanted: bool = True
) -> Probed:
    """Try the agent's attacks on a scored sample.

    A recorded oracle is only asked what it has answers to. Where probes are not `wanted`, those
    that the ledger has answers to still count: a verdict is not mended by looking away.

    Raises:
        UserError, CheckFailed: as `labelling.run.label_articles`.
    """
    attacks = load_attacks(agent.folder)
    probes = choose_probes(asking.filter, scored, attacks, agent.declared.probes.articles)
    if not probes:
        return Probed(left_out="no scored article to try an attack on")
    recorded = recorded_texts(asking.filter, asking.spec)
    if recorded is not None:
        probes = [probe for probe in probes if _text_key(asking.filter, probe) in recorded]
        if not probes:
            return Probed(left_out=_NOT_RECORDED if wanted else LEFT_OUT)
    asking = asking.for_purpose(PURPOSE)
    if not wanted:
        known = {one.id for one in asking.answered([probe.article for probe in probes])}
        probes = [probe for probe in probes if probe.article.id in known]
        if not probes:
            return Probed(left_out=LEFT_OUT)
    answers = asking.about([probe.article for probe in probes])
    results = tuple(_result(asking.filter, probe, answers) for probe in probes)
    return Probed(results, answers.cost_usd)


def number_of_probes(agent: Agent) -> int:
    """How many questions a round's probes are."""
    return len(load_attacks(agent.folder)) * agent.declared.probes.articles


def recorded_texts(filter: Filter, spec: OracleSpec) -> set[str] | None:
    """Text keys that a recorded oracle can answer; None for an oracle that is really asked."""
    if spec.recording is None:
        return None
    folder = recording_folder(filter) if spec.recording == FROM_FILTER else Path(spec.recording)
    if folder is None:
        return set()
    return {key for recording in load_recordings(folder) for key in recording.answers}


def _text_key(filter: Filter, probe: Probe) -> str:
    return normalised_key(fence_content(question_of(filter, probe.article).user)[1])


def _result(filter: Filter, probe: Probe, answers: Answers) -> ProbeResult:
    answer = answers.by_id.get(probe.article.id)
    if not isinstance(answer, Label):
        return ProbeResult(probe, None)
    # The score rules look at the article as it was: a pattern that an attack happens to match
    # says nothing about the oracle.
    article = probe.original.article
    text = pattern_text(article.title, article.content)
    return ProbeResult(probe, overall(filter, answer.scores, text).value)
