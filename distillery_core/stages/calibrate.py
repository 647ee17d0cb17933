"""One calibration or validation round: draw, label, probe, judge, write the report."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from distillery_core.agents.calibration import AGENT, RoundInput, judge_round
from distillery_core.agents.definition import load_agent
from distillery_core.agents.probes import NOT_PROBED, Probed
from distillery_core.agents.publishing import Judged
from distillery_core.agents.scored import ScoredArticle, score_sample
from distillery_core.dataset.classes import CLASSES, SampleClass
from distillery_core.dataset.judgements import read_people
from distillery_core.dataset.lines import read_lines
from distillery_core.dataset.rejects import Rejects
from distillery_core.dataset.rows import read_articles
from distillery_core.dataset.sampling import Round, refuse_short
from distillery_core.errors import UserError
from distillery_core.filters import Filter
from distillery_core.labelling.run import Label, LabelSettings, LabelSummary, Setback
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_report import Money, money
from distillery_core.oracle.spec import OracleSpec
from distillery_core.stages.asking import Answers, Asking
from distillery_core.stages.label import refuse_too_many_samples
from distillery_core.stages.oracles import choose_oracle, oracle_identity, reader_of
from distillery_core.stages.probes import ask_probes
from distillery_core.stages.project import Project, adopt
from distillery_core.stages.repeats import ask_again, recorded_repeats
from distillery_core.stages.sample import (
    Drawing,
    SampleWish,
    holds_sample,
    open_drawing,
    read_sample,
    seed_of,
    write_sample,
)
from distillery_core.types import Article, Progress, Scores, silent

_HOPELESS_FROM = 20
"""Unusable answers after which an oracle that answers less than half usably gets no replacements:
its FAIL is certain, and a corpus would be paid for to say so."""


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """A judged round: its verdict, where the report lies, what the labels took.

    `money` is all that the ledger shows for the filter, the calls of a reading model included;
    `replaced` counts the articles drawn for others that the oracle did not score.
    """

    judged: Judged
    summary: LabelSummary
    sample: Path
    money: Money
    replaced: int = 0


def calibrate(
    project: Project,
    filter: Filter,
    *,
    round: Round = "calibration",
    sample: Path | None = None,
    input: Path | None = None,
    oracle: str | None = None,
    budget: float | None = None,
    concurrency: int | None = None,
    read: bool = True,
    probes: bool = True,
    repeats: int = 1,
    more_samples: bool = False,
    progress: Progress = silent,
    **wish: Unpack[SampleWish],
) -> CalibrationResult:
    """Judge the filter's prompt on a stratified sample and write the round's report.

    A sample that is drawn here grows until every class has as many scored articles as were asked
    for, or the corpus holds no more; one that was drawn before is taken as it is.

    Args:
        round: `calibration`, or `validation` on articles that no earlier round has seen.
        sample: a sample that `draw` wrote; without it one is drawn from `input`, or the one drawn
            before is used.
        read: let a model read the evidence where the oracle is a model that can.
        probes: try known attacks on the oracle (calibration rounds of an oracle that is asked).
        repeats: answers an article; the line `repeatability` is measured on them. Probes and
            further answers of earlier runs count whatever is asked for now.
        wish: numbers, seed and classes of the sample that is drawn.

    Raises:
        UserError: neither sample nor input; oracle, key, price or files cannot be used.
        CheckFailed: budget, stop rule, or more samples than may be labelled without a gate.
    """
    filter = adopt(project, filter)
    spec = choose_oracle(project, filter, oracle)
    drawing, path = sample_file(project, filter, round, sample, input, progress, wish)
    articles = sample_articles(path)
    refuse_too_many_samples(project, filter, articles, more_samples)
    with Ledger.open(project.ledger) as ledger:
        asking = Asking(filter, spec, ledger, _settings(budget, concurrency), progress)
        answers = asking.about(articles)
        asked_first = len(articles)
        if drawing is not None:
            articles, answers = _filled_up(
                project, drawing, asking, articles, answers, more_samples
            )
        scored = score_sample(filter, articles, answers.by_id)
        probed = _probed(project, asking, scored, round, probes)
        reader = reader_of(project, filter, ledger, oracle, budget) if read else None
        given = _round_input(project, filter, round, path, articles, scored, answers, spec)
        given = replace(given, remaining=_remaining(input, articles), probed=probed)
        again = ask_again(asking, articles, repeats)
        if again.scores:
            cost = given.cost_usd + again.cost_usd
            given = replace(given, repeats=again.scores, cost_usd=cost)
        judged = judge_round(filter, given, project.home(filter), project.root, reader)
        spent = money(ledger, filter.label)
    replaced = len(articles) - asked_first
    return CalibrationResult(judged, again.with_first(answers), path, spent, replaced)


def _settings(budget: float | None, concurrency: int | None) -> LabelSettings:
    return LabelSettings(
        concurrency=concurrency,
        budget_usd=budget,
        purpose="sample",
        # A prompt that gets no usable answers has earned its FAIL, which needs all of them.
        failure_window=None,
    )


def sample_file(
    project: Project,
    filter: Filter,
    round: Round,
    sample: Path | None,
    input: Path | None,
    progress: Progress,
    wish: SampleWish,
) -> tuple[Drawing | None, Path]:
    """The sample's file, and how more is drawn; None for a sample that was drawn before."""
    if sample is not None:
        return None, sample
    if input is None:
        return None, _drawn_before(project, filter, round, wish)
    drawing = open_drawing(project, filter, input=input, round=round, progress=progress, **wish)
    found, _ = drawing.first()
    refuse_short(found)
    write_sample(drawing.target, found.articles)
    return drawing, drawing.target


def _drawn_before(project: Project, filter: Filter, round: Round, wish: SampleWish) -> Path:
    drawn = project.sample_path(filter, round, seed_of(filter, round, wish))
    if drawn.is_file():
        return drawn
    raise UserError(
        f"no sample for the {round} round",
        where=drawn,
        hint=f"distillery calibrate --filter {filter.label} --input articles.jsonl",
    )


def _filled_up(
    project: Project,
    drawing: Drawing,
    asking: Asking,
    articles: list[Article],
    answers: Answers,
    more_samples: bool,
) -> tuple[list[Article], Answers]:
    """The sample with replacements for what was not scored, also in its file."""
    while not _hopeless(answers):
        missing = _missing(drawing.asked, articles, answers.by_id)
        further = drawing.more(articles, missing) if missing else []
        if not further:
            break
        articles = [*articles, *further]
        refuse_too_many_samples(project, asking.filter, articles, more_samples)
        write_sample(drawing.target, articles)
        answers = answers.and_then(asking.about(further))
    return articles, answers


def _missing(
    asked: Mapping[SampleClass, int],
    articles: Sequence[Article],
    answers: Mapping[str, Label | Setback],
) -> dict[SampleClass, int]:
    """Per class how many scored articles are wanting; empty when there are enough."""
    scored = Counter(
        _sample_of(article).get("class")
        for article in articles
        if isinstance(answers.get(article.id), Label)
    )
    missing = {name: asked.get(name, 0) - scored[name] for name in CLASSES}
    return {name: count for name, count in missing.items() if count > 0}


def _hopeless(answers: Answers) -> bool:
    unusable = sum(
        isinstance(answer, Setback) and answer.state != "skipped"
        for answer in answers.by_id.values()
    )
    return unusable >= _HOPELESS_FROM and unusable > len(answers.labels)


def _probed(
    project: Project,
    asking: Asking,
    scored: Sequence[ScoredArticle],
    round: Round,
    wanted: bool,
) -> Probed:
    """The injection probes; a validation round has the prompt and oracle of its calibration, where
    they were tried."""
    if round == "validation":
        return NOT_PROBED
    return ask_probes(load_agent(AGENT, project.root), asking, scored, wanted)


def sample_articles(path: Path) -> list[Article]:
    """The articles of a sample; rows that cannot be used go to `<sample>.rejected.jsonl`.

    Only then: the file of that name may tell what was set aside when the sample was drawn.
    """
    with tempfile.TemporaryDirectory() as scratch, Rejects(Path(scratch) / "rows") as rejects:
        articles = list(read_articles(path, rejects))
    if rejects.rejected:
        with Rejects(path) as told:
            return list(read_articles(path, told))
    return articles


def _remaining(input: Path | None, sampled: Sequence[Article]) -> int | None:
    """Articles of the corpus that this prompt would still have to label, if a corpus was given."""
    return None if input is None else max(sum(1 for _ in read_lines(input)) - len(sampled), 0)


def _round_input(
    project: Project,
    filter: Filter,
    round: Round,
    path: Path,
    articles: Sequence[Article],
    scored: Sequence[ScoredArticle],
    answers: Answers,
    spec: OracleSpec,
) -> RoundInput:
    return RoundInput(
        kind=round,
        scored=scored,
        oracle=oracle_identity(filter, spec),
        seed=sample_seed(articles),
        date=answers.last_at,
        asked_for=_asked_for(filter, articles),
        classes_reviewed=all_reviewed(articles),
        classes_from=_classes_from(articles),
        cost_usd=answers.cost_usd,
        paid=spec.paid,
        repeats=_repeats(filter, spec, scored),
        earlier_contents=_earlier_contents(project, filter, path),
        people=read_people(project.home(filter)),
    )


def all_reviewed(articles: Sequence[Article]) -> bool:
    """Whether the classes of a sample come from a reviewed file alone."""
    return all(_sample_of(article).get("by") == "review" for article in articles)


_CLASSES_FROM = {
    "review": "a reviewed classes file",
    "similarity": "similarity to the filter's seed sentences",
    "rules": "the filter's sampling rules",
}


def _classes_from(articles: Sequence[Article]) -> str:
    """Where the classes come from, in words."""
    said = [_CLASSES_FROM.get(str(_sample_of(one).get("by")), "the sample") for one in articles]
    return " and ".join(dict.fromkeys(said))


def _asked_for(filter: Filter, articles: Sequence[Article]) -> dict[str, int]:
    """Articles asked for per class: the config's numbers, or, for a sample that was drawn with
    other ones, what it holds; replacements were not asked for."""
    wanted = filter.config.calibration
    first = [one for one in map(_sample_of, articles) if not one.get("replacement")]
    drawn = Counter(str(sample.get("class")) for sample in first)
    edge = wanted.n_edge if filter.config.sampling.has_edge else 0
    config = {"on_topic": wanted.n_positive, "off_topic": wanted.n_negative, "edge": edge}
    return config if sum(drawn.values()) == sum(config.values()) else dict(drawn)


def _sample_of(article: Article) -> Mapping[str, object]:
    sample = article.extra.get("sample")
    return sample if isinstance(sample, dict) else {}


def sample_seed(articles: Sequence[Article]) -> int:
    """The seed a sample was drawn with, 0 where its rows name none or several."""
    seeds = {_sample_of(article).get("seed") for article in articles}
    known = [seed for seed in seeds if isinstance(seed, int)]
    return known[0] if len(known) == 1 else 0


def _repeats(
    filter: Filter, spec: OracleSpec, scored: Sequence[ScoredArticle]
) -> dict[str, list[Scores]] | None:
    wanted = {one.article.id for one in scored if one.scores is not None}
    found = recorded_repeats(filter) if spec.recording is not None else {}
    return {name: [scores] for name, scores in found.items() if name in wanted} or None


def _earlier_contents(project: Project, filter: Filter, path: Path) -> list[str]:
    """Texts of other samples, to find near-duplicates of earlier rounds: those of the project, and
    those beside this one."""
    kept = project.sample_path(filter, "validation", 0).parent
    folders = {kept.resolve(), path.resolve().parent}
    others = sorted({found for folder in folders for found in folder.glob("*.jsonl")})
    mine = (p for p in others if p != path.resolve() and holds_sample(p))
    return [article.content for p in mine for article in read_sample(p)]
