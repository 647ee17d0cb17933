"""The prompt calibration agent: from a scored sample to a verdict and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from distillery_core.agents import calibration_figures as figures
from distillery_core.agents.calibration_lines import (
    Measured,
    measure,
    repeatability,
    validation_measurements,
)
from distillery_core.agents.definition import Agent, load_agent
from distillery_core.agents.evidence_text import calibration_evidence
from distillery_core.agents.kept_rounds import keep_round
from distillery_core.agents.observations import observe
from distillery_core.agents.people import (
    PeopleFigures,
    everything_judged,
    judged_sha256,
    people_figures,
    scored_with_people,
    where_classes_come_from,
    with_people,
)
from distillery_core.agents.pooling import (
    Pool,
    cautions,
    pool_for,
    shared_with_earlier,
    warnings,
)
from distillery_core.agents.probes import NOT_PROBED, Probed, attack_figures, injection_shift
from distillery_core.agents.prompt_edits import Proposal, propose, write_proposal
from distillery_core.agents.publishing import Evidence, Judged, publish
from distillery_core.agents.reader import Reader
from distillery_core.agents.reading import Lowering, Read, read_evidence
from distillery_core.agents.rounds import (
    Asked,
    History,
    Round,
    RoundKind,
    amend,
    pool_identity,
    remember,
    sample_identity,
)
from distillery_core.agents.scopes import judge_scopes
from distillery_core.agents.scored import ScoredArticle
from distillery_core.dataset.classes import CLASSES
from distillery_core.dataset.judgements import NOBODY, People
from distillery_core.filters.filter import Filter
from distillery_core.types import Scores
from distillery_core.verdicts.criteria import Criteria
from distillery_core.verdicts.decision import Decision, decide

AGENT = "prompt_calibration"
_DIGITS = 6


@dataclass(frozen=True)
class RoundInput:
    """What a round is judged from.

    Attributes:
        kind: calibration or validation.
        scored: the sample with its answers (`scored.score_sample`).
        oracle: identity of the oracle that answered, as the gate will compare it.
        seed: of the sample.
        date: of the evidence, the time of the last answer (not of the judging, so that judging
            again writes the same bytes).
        asked_for: class -> number of articles asked for.
        classes_reviewed: whether people, or a reader blind to the scores, judged the classes.
        classes_from: where they come from, in words.
        cost_usd: of the sample's answers, usable or not; what they would have cost where `paid` is
            False.
        repeats: article id -> scores of further answers.
        remaining: articles of the corpus still to be labelled, if it is at hand.
        earlier_contents: texts of earlier samples, as far as they are at hand.
        probed: the injection probes.
        people: what people judged; their classes take the place of all others.
    """

    kind: RoundKind
    scored: Sequence[ScoredArticle]
    oracle: str
    seed: int
    date: str
    asked_for: Mapping[str, int]
    classes_reviewed: bool
    classes_from: str
    cost_usd: float
    paid: bool
    repeats: Mapping[str, Sequence[Scores]] | None = None
    remaining: int | None = None
    earlier_contents: Sequence[str] = ()
    probed: Probed = NOT_PROBED
    people: People = NOBODY


def judge_round(
    filter: Filter,
    given: RoundInput,
    folder: Path,
    project: Path,
    reader: Reader | None = None,
) -> Judged:
    """Judge a calibration or validation round and write its report.

    The round is remembered in `calibration_rounds.jsonl` of the folder; all samples of its kind
    that were asked with the same prompt, text view and oracle are judged together.

    Args:
        folder: the filter's folder in the project, where report and rounds are written.
        project: where `agents/` is looked up first.
        reader: a model that judges scopes (where no reviewed classes exist) and reads the evidence;
            None leaves both out, and the report says so.
    """
    agent = load_agent(AGENT, project)
    case = _gathered(agent, filter, _with_scopes(agent, filter, given, reader), folder, reader)
    context = _context(case)
    read = _read(case, context, reader)
    final = _amended(case, folder, reader)
    proposal = propose(filter, read.reading.answer.prompt_edits if read.reading else ())
    shown = {**context, **_after_reading(case, final, read, proposal, reader)}
    judged = _published(case, read, shown, folder)
    write_proposal(folder, proposal)
    keep_round(folder, case.history.number, filter, case.given.scored, judged, proposal)
    return judged


@dataclass(frozen=True)
class _Case:
    """A round with all that it is judged by. `alone` is without the classes of people, as its file
    keeps it."""

    agent: Agent
    filter: Filter
    alone: RoundInput
    given: RoundInput
    current: Round
    history: History
    pool: Pool
    measured: Measured

    @property
    def table(self) -> Criteria:
        """The criteria with the filter's own limits."""
        overrides = self.filter.config.calibration.criteria
        return self.agent.table(self.given.kind, overrides, self.filter.folder / "config.yaml")


def _gathered(
    agent: Agent, filter: Filter, alone: RoundInput, folder: Path, reader: Reader | None
) -> _Case:
    """Remember the round, and measure it with all that belong to it."""
    kept = _round(filter, alone, reader)
    given = _judged_by_people(alone)
    current, history = _with_people(given.people, kept, remember(folder, kept))
    pool = pool_for(filter, given.kind, current, history.others)
    measured = _measurements(filter, given, current, history.others, pool)
    return _Case(agent, filter, alone, given, current, history, pool, measured)


def _amended(case: _Case, folder: Path, reader: Reader | None) -> Round:
    """The round with its whole cost, once everything has been asked; also in its file."""
    final = _round(case.filter, case.alone, reader)
    amend(folder, final)
    return with_people(final, case.given.people.classes)


def _published(case: _Case, read: Read, shown: Mapping[str, Any], folder: Path) -> Judged:
    """Decide and write the report."""
    given, current, others = case.given, case.current, case.history.others
    lowered = Lowering(tuple(cautions(current, others, case.pool)), read.reading).lowered
    decision = decide(case.table, case.measured, lowered=lowered, read=read.said)
    rests_on = judged_sha256(given.people, [*others, current], given.kind, current.asked)
    evidence = _evidence(case.filter, current, case.pool, shown, rests_on)
    return publish(
        *(case.agent, case.filter, given.kind, decision, case.measured),
        *(evidence, read, lowered, shown, folder),
    )


def _with_scopes(
    agent: Agent, filter: Filter, given: RoundInput, reader: Reader | None
) -> RoundInput:
    if given.classes_reviewed or reader is None or everything_judged(given.scored, given.people):
        return given
    judged = judge_scopes(agent, filter, given.scored, reader)
    return replace(
        given,
        scored=judged.scored,
        classes_reviewed=judged.complete,
        classes_from=f"judged by {judged.by}, which saw no score",
    )


def _judged_by_people(given: RoundInput) -> RoundInput:
    return replace(
        given,
        scored=scored_with_people(given.scored, given.people),
        classes_from=where_classes_come_from(given.scored, given.people, given.classes_from),
    )


def _with_people(people: People, current: Round, history: History) -> tuple[Round, History]:
    """The rounds with the classes of people; the file keeps them without."""
    before = tuple(with_people(one, people.classes) for one in history.before)
    after = tuple(with_people(one, people.classes) for one in history.after)
    return with_people(current, people.classes), replace(history, before=before, after=after)


def _round(filter: Filter, given: RoundInput, reader: Reader | None) -> Round:
    """The round as it is remembered; its cost grows as the reader is asked."""
    seen = tuple(observe(filter.dimensions, given.scored))
    cuts = filter.config.calibration
    found = measure(filter, seen, classes_reviewed=given.classes_reviewed)
    rates = ("off_topic_false_positives", "on_topic_misses", "answered_and_valid")
    values = {name: found[name].value for name in rates}
    return Round(
        kind=given.kind,
        date=given.date,
        asked=Asked.of(filter, given.oracle),
        scoring_sha256=filter.scoring_sha256,
        cuts=(cuts.on_topic_at, cuts.severe_at),
        seed=given.seed,
        sample_sha256=sample_identity(seen),
        asked_for=dict(given.asked_for),
        classes_reviewed=given.classes_reviewed,
        seen=seen,
        cost_usd=round(given.cost_usd + given.probed.cost_usd + _reading_cost(reader), 9),
        paid=given.paid,
        rates={name: round(value, _DIGITS) for name, value in values.items() if value is not None},
    )


def _reading_cost(reader: Reader | None) -> float:
    return 0.0 if reader is None else reader.cost_usd


def _after_reading(
    case: _Case, final: Round, read: Read, proposal: Proposal, reader: Reader | None
) -> dict[str, Any]:
    """What the template shows of the reading, and the money, which only now is known."""
    given, history = case.given, case.history
    spent = figures.Spent(given.cost_usd, given.probed.cost_usd, _reading_cost(reader))
    return {
        "diagnoses": read.reading.diagnoses if read.reading else {},
        "proposal": proposal,
        "costs": figures.costs(final, spent, history.before, given.remaining),
        "trend": figures.trend([*history.before, final]),
    }


def _measurements(
    filter: Filter, given: RoundInput, current: Round, others: Sequence[Round], pool: Pool
) -> Measured:
    found = measure(filter, pool.seen, classes_reviewed=pool.classes_reviewed)
    found["repeatability"] = repeatability(filter, given.scored, given.repeats or {})
    if given.kind == "calibration":
        return {**found, "injection_shift": injection_shift(given.probed)}
    before = pool_for(filter, "calibration", current, others)
    calibration = None
    if before.rounds:
        calibration = measure(filter, before.seen, classes_reviewed=before.classes_reviewed)
    contents = [one.article.content for one in given.scored]
    shared = shared_with_earlier(current, others, contents, given.earlier_contents)
    return {**found, **validation_measurements(found, calibration, shared.count, shared.note)}


def _context(case: _Case) -> dict[str, Any]:
    """Everything the template shows that is no line of the table."""
    filter, given, current, pool = case.filter, case.given, case.current, case.pool
    others = case.history.others
    worst = case.agent.declared.reading.worst
    cuts = filter.config.calibration
    asked_for: dict[str, int] = {
        name: sum(one.asked_for.get(name, 0) for one in pool.rounds) for name in CLASSES
    }
    return {
        "date": given.date,
        "oracle": given.oracle,
        "seed": given.seed,
        "on_topic_at": cuts.on_topic_at,
        "severe_at": cuts.severe_at,
        "classes_from": given.classes_from,
        "classes": figures.class_figures(pool.seen, asked_for),
        "bands": figures.BAND_NAMES,
        "cuts": figures.around_the_cut(filter, pool.seen),
        "auc": figures.auc(pool.seen),
        "dimensions": figures.dimension_figures(filter, pool.seen),
        "measured": case.measured,
        "pool": figures.pool_figures(filter, pool.rounds, current),
        "false_positives": figures.worst_false_positives(filter, given.scored, worst),
        "misses": figures.worst_misses(filter, given.scored, worst),
        "unanswered": [one for one in given.scored if one.failure and one.state != "blocked"],
        "attacks": attack_figures(given.probed),
        "mislabelled": figures.mislabelled(case.measured),
        "warnings": warnings(current, others),
        "cautions": cautions(current, others, pool),
        "rounds_so_far": case.history.number,
        "people": people_figures(filter, case.alone.scored, given.people),
    }


def _read(case: _Case, context: Mapping[str, Any], reader: Reader | None) -> Read:
    agent, given = case.agent, case.given
    computed: Decision = decide(case.table, case.measured)
    text = calibration_evidence(
        case.filter, given.scored, computed, context, agent.declared.reading
    )
    subject = f"{given.kind} {given.seed}"
    return read_evidence(agent, reader, subject, text, edits=True)


def _evidence(
    filter: Filter, current: Round, pool: Pool, context: Mapping[str, Any], judged: str
) -> Evidence:
    people: PeopleFigures | None = context["people"]
    shown = ("classes", "cuts", "dimensions", "pool", "attacks", "trend")
    lists = {name: [asdict(one) for one in context[name]] for name in shown}
    for at_cut in lists["cuts"]:
        for name in ("false_positives", "misses"):
            at_cut[name] = {key: at_cut[name][key] for key in ("value", "n", "low", "high")}
    counts = {
        f"{one.name}_{what}": getattr(one, what)
        for one in context["classes"]
        for what in ("asked_for", "drawn", "scored", "blocked", "without_answer")
    }
    return Evidence(
        hashes={
            **vars(current.asked),
            "scoring_sha256": filter.scoring_sha256,
            "sample_sha256": current.sample_sha256,
            "pool_sha256": pool_identity(pool.rounds),
            "judgements_sha256": judged,
        },
        counts=counts,
        numbers={
            "date": context["date"],
            "seed": context["seed"],
            "on_topic_at": context["on_topic_at"],
            "severe_at": context["severe_at"],
            "auc": context["auc"],
            "rounds_so_far": context["rounds_so_far"],
            "costs": asdict(context["costs"]),
            "mislabelled": asdict(context["mislabelled"]),
            "people": people.numbers() if people else None,
            **lists,
        },
    )
