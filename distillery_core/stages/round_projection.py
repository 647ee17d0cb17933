"""What a round will cost, before anything is drawn or asked: labels, probes, scopes and reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Unpack

from distillery_core.agents.calibration import AGENT
from distillery_core.agents.definition import Agent, load_agent
from distillery_core.agents.probes import load_attacks
from distillery_core.dataset.sampling import Round
from distillery_core.filters import Filter
from distillery_core.labelling.projection import SAMPLE, Projection, limited, project_cost
from distillery_core.labelling.run import occasion_of
from distillery_core.oracle.client import Usage
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_report import answered_ids
from distillery_core.oracle.prices import cost_nano, price_of, to_dollars
from distillery_core.oracle.spec import OracleSpec, Price
from distillery_core.stages.label import projection as label_projection
from distillery_core.stages.label import usable_articles
from distillery_core.stages.oracles import choose_oracle, recording_folder
from distillery_core.stages.probes import number_of_probes
from distillery_core.stages.project import Project
from distillery_core.stages.sample import SampleWish, asked_of, seed_of
from distillery_core.types import Article

_CHARS_PER_TOKEN = (5.0, 2.5)
_SCOPE_CHARS = 1500
"""Of the scope question besides the article: its rules and the filter's scope."""

_SCOPE_TOKENS = (20, 200)
_READING_CHARS = 6000
"""Of the reading besides prompt and articles: its rules and the verdict table."""

_WORDS_CHARS = 800
"""Of an article shown to a reader besides its text: scores, class and the oracle's words."""


def round_projection(
    project: Project,
    filter: Filter,
    *,
    round: Round = "calibration",
    sample: Path | None = None,
    input: Path | None = None,
    oracle: str | None = None,
    read: bool = True,
    probes: bool = True,
    repeats: int = 1,
    **wish: Unpack[SampleWish],
) -> Projection | None:
    """What a round will cost if every question is answered at once.

    Labels cost what this prompt's answers did, or a guess from its length; a probe costs what a
    label does. Scope judgements (where no reviewed classes exist) and the reading are guessed from
    their own lengths. Replacements for unusable answers are not foreseen; `budget` holds them.

    Returns:
        None where there is nothing to look at; `calibrate` says what is missing.
    """
    seed = seed_of(filter, round, wish)
    source = sample or input or project.sample_path(filter, round, seed)
    if sample is None and input is None and not source.is_file():
        return None
    size = sum(asked_of(filter, wish).values())
    spec = choose_oracle(project, filter, oracle)
    labels = limited(label_projection(project, filter, source, oracle), size)
    for repeat in range(2, repeats + 1):
        again = _again(project, filter, spec, source, size, repeat)
        labels = replace(_sum([labels, again]), basis=labels.basis)
    if spec.recording is not None:
        return labels
    agent = load_agent(AGENT, project.root)
    first = list(islice(usable_articles(source), SAMPLE))
    parts = [labels]
    if probes and round == "calibration":
        parts.append(_probes(project, filter, spec, first, agent))
    if read:
        price = price_of(spec)
        reviewed = filter.config.sampling.classes_file or wish.get("classes")
        articles = 0 if reviewed else min(size, labels.articles)
        parts.append(_scopes(labels, first, articles, price))
        parts.append(_reading(labels, filter, agent, price))
    return _sum(parts)


def _again(
    project: Project, filter: Filter, spec: OracleSpec, source: Path, size: int, repeat: int
) -> Projection:
    """The n-th answers to the sample."""
    articles, occasion = usable_articles(source), occasion_of(repeat)
    folder = recording_folder(filter)
    if not project.ledger.exists():
        return project_cost(filter, articles, size, spec, occasion=occasion)
    with Ledger.open(project.ledger) as ledger:
        return project_cost(filter, articles, size, spec, ledger, occasion, folder)


def _probes(
    project: Project, filter: Filter, spec: OracleSpec, first: Sequence[Article], agent: Agent
) -> Projection:
    """The probes at the price of labels; those that were answered are not asked again."""
    wanted = number_of_probes(agent)
    others = (replace(article, id=f"{article.id}~") for article in first)
    if not project.ledger.exists():
        return project_cost(filter, others, wanted, spec)
    with Ledger.open(project.ledger) as ledger:
        names = tuple(f"~{attack.name}" for attack in load_attacks(agent.folder))
        known = answered_ids(ledger, filter.prompt_sha256, spec.model)
        answered = sum(name.endswith(names) for name in known)
        return project_cost(filter, others, max(wanted - answered, 0), spec, ledger)


def _scopes(
    labels: Projection, first: Sequence[Article], articles: int, price: Price
) -> Projection:
    each = sum(len(one.title) + len(one.content) for one in first) / max(len(first), 1)
    characters = each + _SCOPE_CHARS
    return _guess(labels, articles, characters, _SCOPE_TOKENS, price)


def _reading(labels: Projection, filter: Filter, agent: Agent, price: Price) -> Projection:
    settings = agent.declared.reading
    shown = 2 * settings.worst + settings.others
    characters = len(filter.prompt_template) + _READING_CHARS
    few = characters + settings.others * (settings.excerpt_chars // 2)
    many = characters + shown * (settings.excerpt_chars + _WORDS_CHARS)
    low = _guess(labels, 1, few, (200, 200), price)
    high = _guess(labels, 1, many, (settings.max_output_tokens,) * 2, price)
    return replace(low, high_usd=high.high_usd)


def _guess(
    like: Projection, calls: int, characters: float, output: tuple[int, int], price: Price
) -> Projection:
    """Calls of this many characters, answered in so many tokens at least and at most."""
    tokens = [round(characters / chars) for chars in _CHARS_PER_TOKEN]
    low, high = (
        to_dollars(cost_nano(price, Usage(read, written))) * calls
        for read, written in zip(tokens, output, strict=True)
    )
    return replace(like, articles=0, to_ask=calls, low_usd=low, high_usd=high)


def _sum(parts: Sequence[Projection]) -> Projection:
    labels = parts[0]
    further = sum(part.to_ask for part in parts[1:])
    basis = f"{labels.basis}, and {further} probes, scopes and readings" if further else ""
    return replace(
        labels,
        to_ask=labels.to_ask + further,
        low_usd=sum(part.low_usd for part in parts),
        high_usd=sum(part.high_usd for part in parts),
        basis=basis or labels.basis,
    )
