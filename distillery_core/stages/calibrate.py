"""One calibration or validation round: draw, label, judge, write the report."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distillery_core.agents.calibration import RoundInput, judge_round
from distillery_core.agents.publishing import Judged
from distillery_core.agents.scored import ScoredArticle, score_sample
from distillery_core.dataset.lines import read_lines
from distillery_core.dataset.rejects import Rejects
from distillery_core.dataset.rows import read_articles
from distillery_core.dataset.sampling import Round
from distillery_core.errors import UserError
from distillery_core.filters import Filter
from distillery_core.labelling.projection import Projection, limited, with_calls
from distillery_core.labelling.run import (
    Label,
    LabelSettings,
    LabelSummary,
    Setback,
    label_articles,
)
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_report import Money, money
from distillery_core.oracle.opening import open_oracle
from distillery_core.oracle.spec import OracleSpec
from distillery_core.stages.label import projection as label_projection
from distillery_core.stages.label import refuse_too_many_samples
from distillery_core.stages.oracles import (
    choose_oracle,
    oracle_identity,
    reader_of,
    recording_folder,
)
from distillery_core.stages.project import Project, adopt
from distillery_core.stages.repeats import recorded_repeats
from distillery_core.stages.sample import draw, holds_sample, read_sample
from distillery_core.types import Article, Progress, Scores, silent


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """A judged round: its verdict, where the report lies, what the labels took.

    `money` is all that the ledger shows for the filter, the calls of a reading model included.
    """

    judged: Judged
    summary: LabelSummary
    sample: Path
    money: Money


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
    more_samples: bool = False,
    progress: Progress = silent,
) -> CalibrationResult:
    """Judge the filter's prompt on a stratified sample and write the round's report.

    Args:
        round: `calibration`, or `validation` on articles that no earlier round has seen.
        sample: a sample that `draw` wrote; without it one is drawn from `input`, or the one drawn
            before is used.
        read: let a model read the evidence where the oracle is a model that can.

    Raises:
        UserError: neither sample nor input; oracle, key, price or files cannot be used.
        CheckFailed: budget, stop rule, or more samples than may be labelled without a gate.
    """
    filter = adopt(project, filter)
    spec = choose_oracle(project, filter, oracle)
    path = _sample_file(project, filter, round, sample, input, progress)
    articles = _sampled(path)
    refuse_too_many_samples(project, filter, articles, more_samples)
    with Ledger.open(project.ledger) as ledger:
        settings = LabelSettings(
            concurrency=concurrency,
            budget_usd=budget,
            purpose="sample",
            # A prompt that gets no usable answers has earned its FAIL, which needs all of them.
            failure_window=None,
        )
        labelled = _ask(filter, spec, articles, ledger, settings, progress)
        reader = reader_of(project, filter, ledger, oracle, budget) if read else None
        given = _round_input(project, filter, round, path, articles, labelled, spec)
        given = replace(given, remaining=_remaining(input, articles))
        judged = judge_round(filter, given, project.home(filter), project.root, reader)
        spent = money(ledger, filter.label)
    return CalibrationResult(judged, labelled.summary, path, spent)


def projection(
    project: Project,
    filter: Filter,
    *,
    round: Round = "calibration",
    sample: Path | None = None,
    input: Path | None = None,
    oracle: str | None = None,
    read: bool = True,
) -> Projection | None:
    """What a round will cost, before anything is drawn or asked.

    With a model that reads, the judgement of each article's scope (where no reviewed classes exist)
    and the reading are calls too; they are taken to cost what a label costs.

    Returns:
        None where there is nothing to look at; `calibrate` says what is missing.
    """
    wanted = filter.config.calibration
    seed = wanted.random_seed if round == "calibration" else wanted.validation_seed
    source = sample or input or project.sample_path(filter, round, seed)
    if sample is None and input is None and not source.is_file():
        return None
    size = wanted.n_positive + wanted.n_negative + wanted.n_edge
    labels = limited(label_projection(project, filter, source, oracle), size)
    if not read or choose_oracle(project, filter, oracle).recording is not None:
        return labels
    scopes = 0 if filter.config.sampling.classes_file else min(size, labels.articles)
    return with_calls(labels, scopes + 1)


@dataclass(frozen=True)
class _Labelled:
    """What came back for a sample, by article id."""

    answers: Mapping[str, Label | Setback]
    summary: LabelSummary

    @property
    def labels(self) -> list[Label]:
        return [answer for answer in self.answers.values() if isinstance(answer, Label)]


def _sample_file(
    project: Project,
    filter: Filter,
    round: Round,
    sample: Path | None,
    input: Path | None,
    progress: Progress,
) -> Path:
    if sample is not None:
        return sample
    if input is not None:
        return draw(project, filter, input=input, round=round, progress=progress).path
    wanted = filter.config.calibration
    seed = wanted.random_seed if round == "calibration" else wanted.validation_seed
    drawn = project.sample_path(filter, round, seed)
    if drawn.is_file():
        return drawn
    raise UserError(
        f"no sample for the {round} round",
        where=drawn,
        hint=f"distillery calibrate --filter {filter.label} --input articles.jsonl",
    )


def _ask(
    filter: Filter,
    spec: OracleSpec,
    articles: Sequence[Article],
    ledger: Ledger,
    settings: LabelSettings,
    progress: Progress,
) -> _Labelled:
    answers: dict[str, Label | Setback] = {}

    def keep(article: Article, answer: Label | Setback) -> None:
        answers[article.id] = answer

    async def run() -> LabelSummary:
        async with open_oracle(spec, recording_folder=recording_folder(filter)) as oracle:
            return await label_articles(
                filter,
                articles,
                oracle,
                ledger,
                settings=settings,
                on_label=keep,
                on_setback=keep,
                progress=progress,
                total=len(articles),
            )

    return _Labelled(answers, asyncio.run(run()))


def _sampled(path: Path) -> list[Article]:
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
    labelled: _Labelled,
    spec: OracleSpec,
) -> RoundInput:
    scored = score_sample(filter, articles, labelled.answers)
    reviewed = all(_sample_of(article).get("by") == "review" for article in articles)
    return RoundInput(
        kind=round,
        scored=scored,
        oracle=oracle_identity(filter, spec),
        seed=_seed(articles),
        date=max((label.provenance["labelled_at"] for label in labelled.labels), default=""),
        asked_for=_asked_for(filter, articles),
        classes_reviewed=reviewed,
        classes_from="a reviewed classes file" if reviewed else "the filter's sampling rules",
        cost_usd=sum(label.provenance["cost_usd"] for label in labelled.labels),
        paid=spec.paid,
        repeats=_repeats(filter, spec, scored),
        earlier_contents=_earlier_contents(project, filter, path),
    )


def _asked_for(filter: Filter, articles: Sequence[Article]) -> dict[str, int]:
    """Articles asked for per class: the config's numbers, or, for a sample that was drawn with
    other ones, what it holds."""
    drawn = Counter(str(_sample_of(article).get("class")) for article in articles)
    wanted = filter.config.calibration
    edge = wanted.n_edge if filter.config.sampling.has_edge else 0
    config = {"on_topic": wanted.n_positive, "off_topic": wanted.n_negative, "edge": edge}
    return config if sum(drawn.values()) == sum(config.values()) else dict(drawn)


def _sample_of(article: Article) -> Mapping[str, object]:
    sample = article.extra.get("sample")
    return sample if isinstance(sample, dict) else {}


def _seed(articles: Sequence[Article]) -> int:
    seeds = {_sample_of(article).get("seed") for article in articles}
    known = [seed for seed in seeds if isinstance(seed, int)]
    return known[0] if len(known) == 1 else 0


def _repeats(
    filter: Filter, spec: OracleSpec, scored: Sequence[ScoredArticle]
) -> dict[str, Scores] | None:
    wanted = {one.article.id for one in scored if one.scores is not None}
    found = recorded_repeats(filter) if spec.recording is not None else {}
    return {name: scores for name, scores in found.items() if name in wanted} or None


def _earlier_contents(project: Project, filter: Filter, path: Path) -> list[str]:
    """Texts of other samples, to find near-duplicates of earlier rounds: those of the project, and
    those beside this one."""
    kept = project.sample_path(filter, "validation", 0).parent
    folders = {kept.resolve(), path.resolve().parent}
    others = sorted({found for folder in folders for found in folder.glob("*.jsonl")})
    mine = (p for p in others if p != path.resolve() and holds_sample(p))
    return [article.content for p in mine for article in read_sample(p)]
