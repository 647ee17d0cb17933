"""What follows from a run's numbers, each conclusion by a rule and with its numbers.

Whether something is good is read from the lines of the verdict; no limit is set a second time here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from distillery_core.reports.calibration_words import deployed, own
from distillery_core.reports.formatting import counted, fixed, integer, money, percent, signed
from distillery_core.reports.more_epochs import beaten_by_constant, remembers, still_gaining
from distillery_core.reports.record import Line, Record
from distillery_core.reports.training_record import Training
from distillery_core.reports.views import (
    Gain,
    Learning,
    Rival,
    bands_of,
    dimensions_of,
    finding_of,
    learning_of,
    number_of,
    rivals_of,
)
from distillery_core.student.chance import bound, is_skilled, standard_error
from distillery_core.student.selection import KEYS, WORDS, goodness
from distillery_core.verdicts.decision import EVERY_LINE

_STEADY = 0.005
"""Changes by epoch below this are a draw: they vanish when printed with two decimals."""

_LEAST_PULL = 0.25
"""Points of bias, at both ends, from which scores are said to be pulled towards the middle: half of
the step between labels, which come in halves. Below it the nearest label is still the same one."""

_FEW_EPOCHS = 10
"""Epochs up to which each is named."""

_SOLVED = "The base stayed as it was and its head was solved for in one step, without epochs."
_TRAIN_BASE = "Training the base as well (--method full or --method lora) may bring more."


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A finding in a few words, and the sentences that say why."""

    title: str
    text: str


def conclusions(training: Training | None, record: Record | None) -> list[Conclusion]:
    """All that the numbers say, the most important first.

    Args:
        training: None where the run's files are not at hand.
        record: of the evaluation of this very model; None where there is none.
    """
    found = [] if training is None else [_course(training, record)]
    if record is None:
        return [] if training is None else [_not_judged(training), *found]
    rules: tuple[Callable[[Record], Conclusion | None], ...] = (
        _verdict, _error, _noise, _finding, _memory, _middle, _dimensions, _labels,
    )  # fmt: skip
    of_test = [one for rule in rules if (one := rule(record)) is not None]
    return [*of_test, *found]


def _not_judged(training: Training) -> Conclusion:
    numbers = f"Its validation MAE is {fixed(training.kept_epoch.val['mae'])}"
    chosen = (
        ", and its epoch was chosen by the validation articles, so that this number flatters it"
    )
    return Conclusion(
        "This model has not been judged.",
        f"{numbers}{chosen if len(training.epochs) > 1 else ''}. "
        "Whether it may be used, the evaluation on the test articles says.",
    )


def _verdict(record: Record) -> Conclusion:
    decision = record.decision
    if decision.deciding.name == EVERY_LINE:
        well = sum(line.decides and line.level == "OK" for line in decision.lines)
        text = f"Every line that decides is within its limits, {well} in all."
        return Conclusion(f"The verdict is {decision.word}.", text if well else "No line applied.")
    deciding = f"{decision.deciding.title}: {decision.deciding.reason}"
    others = [line.title for line in decision.because if line.name != decision.deciding.name]
    also = f" As bad: {', '.join(others)}." if others else " No other line is as bad."
    return Conclusion(f"The verdict is {decision.word}.", f"It is decided by {deciding}.{also}")


def _error(record: Record) -> Conclusion | None:
    rivals = rivals_of(record)
    if not rivals:
        return None
    model, others = rivals[0], rivals[1:]
    line = _line(record, "test_mae")
    within = ""
    if line is not None and line.measurement.low is not None:
        low, high = line.measurement.low, line.measurement.high
        within = f" (95 % interval {fixed(low)} to {fixed(high)})"
    accuracy = number_of(record, "accuracy")
    near = f" {percent(accuracy)} of the scores are within 1.0 of the oracle's." if accuracy else ""
    scores = f"A score{deployed(record, ' ({})')}"
    text = f"{scores} is off by {fixed(model.mae)} of 10 points on average{within}.{near}"
    compared = " ".join(_against(record, model, other) for other in others)
    return Conclusion(_compared(record, model, others), f"{text} {compared}".strip())


def _compared(record: Record, model: Rival, others: list[Rival]) -> str:
    """That it is better is said only where the best of the others is worse beyond chance."""
    if not others:
        return "Its error has nothing to be compared with."
    best = min(others, key=lambda other: other.mae)
    if model.mae >= best.mae:
        return "It does no better than a simple method."
    interval = _interval(record, best)
    if interval is not None and interval[1] < 0:
        return "It reads more out of an article than simple methods do."
    what = "That it reads more out of an article than simple methods is not certain"
    return f"{what} (best of them: {best.name})."


def _against(record: Record, model: Rival, other: Rival) -> str:
    """One baseline: by how much, and whether the interval of the difference holds zero."""
    words = "less" if model.mae < other.mae else "more"
    share = percent(abs(model.mae - other.mae) / other.mae) if other.mae else "-"
    name = other.name[:1].upper() + other.name[1:]
    told = f"{name}: {fixed(other.mae)}; the model's error is {share} {words}"
    interval = _interval(record, other)
    if interval is None:
        return f"{told}."
    chance = interval[0] <= 0 <= interval[1]
    return f"{told}, {'which may be chance' if chance else 'more than chance'}."


def _interval(record: Record, other: Rival) -> tuple[float, float] | None:
    """Of the model's MAE minus a baseline's; early records have that of TF-IDF alone, as a line."""
    low, high = other.low, other.high
    line = _line(record, "against_tfidf") if other.name.startswith("TF-IDF") else None
    if low is None and line is not None:
        low, high = line.measurement.low, line.measurement.high
    return None if low is None or high is None else (low, high)


def _noise(record: Record) -> Conclusion | None:
    floor, rivals = number_of(record, "noise_floor"), rivals_of(record)
    if floor is None or not rivals:
        return None
    own = rivals[0].mae - floor
    title = (
        f"Its error is {fixed(own)} above the oracle's own."
        if own > 0
        else "Its error is as small as the oracle's own."
    )
    text = f"Asked twice, the oracle differs from itself by {fixed(floor)} on average"
    return Conclusion(title, f"{text}; the model differs from it by {fixed(rivals[0].mae)}.")


def _finding(record: Record) -> Conclusion | None:
    found = finding_of(record)
    if found is None or not found.positives:
        return None
    missed, false = found.positives - found.found, found.predicted - found.found
    recall, precision = percent(found.recall), percent(found.precision)
    return Conclusion(
        f"It finds {recall} of the articles of interest.",
        f"Of {integer(found.positives)} test articles labelled {fixed(found.threshold, 1)} or more "
        f"it finds {integer(found.found)} and misses {integer(missed)}; {integer(false)} of the "
        f"{integer(found.predicted)} that it reports are false alarms (precision {precision}).",
    )


def _memory(record: Record) -> Conclusion | None:
    line = _line(record, "validation_train_gap")
    if line is None or line.level == "NOT_APPLICABLE":
        return None
    text = (
        f"Its validation MAE{own(record)} differs by {line.value_text} from that on training "
        "articles "
    )
    if line.level == "OK":
        return Conclusion("It has not learned its training articles by heart.",
                          f"{text}(wanted {line.ok_text}).")  # fmt: skip
    return Conclusion(
        "It remembers its training articles.",
        f"{text}(wanted {line.ok_text}): part of what it learned holds only for articles that it "
        "knows, and new ones are scored worse than those suggest.",
    )


def _middle(record: Record) -> Conclusion | None:
    bands = [band for band in bands_of(record) if band.n and band.bias is not None]
    if len(bands) < 2:
        return None
    low, high = bands[0], max(bands[1:], key=lambda band: abs(band.bias or 0.0))
    numbers = (
        f"Labels in {low.band} come out {signed(low.bias)} ({counted(low.n, 'score')}), "
        f"labels in {high.band} {signed(high.bias)} ({counted(high.n, 'score')})."
    )
    if (low.bias or 0.0) >= _LEAST_PULL and (high.bias or 0.0) <= -_LEAST_PULL:
        title = "It pulls scores towards the middle."
        text = f"{numbers} High scores come out too low and low ones too high."
        return Conclusion(title, text)
    weakest = max(bands, key=lambda band: band.mae or 0.0)
    return Conclusion(
        f"It is weakest where the oracle gives {weakest.band}.",
        f"The MAE there is {fixed(weakest.mae)} on {counted(weakest.n, 'score')}. {numbers}",
    )


def _dimensions(record: Record) -> Conclusion | None:
    ranked = sorted(dimensions_of(record), key=lambda one: one.mae)
    if len(ranked) < 2:
        return None
    best, worst = ranked[0], ranked[-1]
    behind = [one.name for one in ranked if one.mae >= one.tfidf_mae]
    also = (
        f" In {', '.join(behind)} it is no better than TF-IDF + ridge."
        if behind
        else " In every dimension it is better than TF-IDF + ridge."
    )
    return Conclusion(
        f"{best.name} is scored best, {worst.name} worst.",
        f"MAE{deployed(record, ' ({})')} {fixed(best.mae)} and {fixed(worst.mae)}.{also}",
    )


def _labels(record: Record) -> Conclusion | None:
    """Of the curve's predictor; what it says about the model ends where the model is better."""
    curve, rivals = learning_of(record), rivals_of(record)
    if curve is None or not curve.gains or not rivals:
        return None
    gain, proxy, model = curve.gains[0], curve.predictor, rivals[0]
    reached = curve.rows[-1].mae + gain.change
    text = f"{_expected(curve, gain)} It is a proxy: the model's own gain was not measured."
    if model.mae < reached:
        return Conclusion(
            "What more labels would bring this model is not known.",
            f"{text} The model's MAE of {fixed(model.mae)}{deployed(record, ' ({})')} is already "
            "below that, so that nothing follows for it.",
        )
    if gain.high < 0:
        return Conclusion(f"More labels would help {proxy}, and may help this model.", text)
    return Conclusion(f"More labels may not help: {proxy} gains nothing beyond chance.", text)


def _expected(curve: Learning, gain: Gain) -> str:
    """What the predictor of the curve is expected to gain, relative to its own MAE."""
    now = curve.rows[-1].mae
    change, low, high = (
        f"{signed(100 * value / now, 0)} %" for value in (gain.change, gain.low, gain.high)
    )
    cost = f", at about {money(gain.cost_usd)}" if gain.cost_usd else ""
    return (
        f"With {gain.factor} times as many labels ({integer(gain.labels)} more articles{cost}), "
        f"the MAE of {curve.predictor} itself is expected to change by {change} "
        f"(95 % interval {low} to {high}), from {fixed(now)} to {fixed(now + gain.change)}."
    )


def _course(training: Training, record: Record | None) -> Conclusion:
    """Of the metric that the kept epoch was chosen by; an epoch without it is never the best."""
    by, vals = training.chosen_by, [epoch.val for epoch in training.epochs]
    values, course = [val.get(KEYS[by]) for val in vals], [goodness(by, val) for val in vals]
    kept, ran, best = training.kept, len(vals), course[training.kept - 1]
    numbers = f"Validation {WORDS[by]}{own(record)}{_by_epoch(values, kept, course)}."
    if training.facts.frozen_head == "ridge":
        return Conclusion("Only a ridge head was fitted.", f"{_SOLVED} {numbers} {_TRAIN_BASE}")
    if best > -inf and (why := _no_skill(training, record)):
        return Conclusion(f"Its validation {WORDS[by]} shows no skill.", f"{numbers} {why}")
    if ran == 1:
        return Conclusion("One epoch shows no course.", numbers)
    if best < max(course) or best == -inf:
        text = f"{numbers} Why that one was kept, these numbers do not say."
        return Conclusion(f"Epoch {kept} of {ran} was kept.", text)
    if kept < ran:
        title = f"Epoch {kept} of {ran} was the best."
        return Conclusion(title, f"{numbers} Later ones were no better: more epochs will not help.")
    title, text = _last_epoch(training, record, best - max(course[:-1]))
    return Conclusion(title, f"{numbers} {text}")


def _no_skill(training: Training, record: Record | None) -> str:
    """Why the course says nothing about epochs; empty where it does."""
    by, articles = training.chosen_by, training.facts.val_examples
    if beaten_by_constant(_levels(record)):
        return "The model is no better than a constant, so that nothing follows for its epochs."
    if is_skilled(by, training.kept_epoch.val, articles):
        return ""
    most = bound(by, articles)
    chance = f"Chance alone gives up to {fixed(most)} on {integer(articles)} articles, so that"
    return f"{chance if most else 'So'} nothing follows for the number of epochs."


def _last_epoch(training: Training, record: Record | None, gain: float) -> tuple[str, str]:
    """Of a last epoch that was better than all before it by so much: whether to try more."""
    by, vals = training.chosen_by, [epoch.val for epoch in training.epochs]
    articles, levels = training.facts.val_examples, _levels(record)
    if gain <= _STEADY:
        return "Training had come to rest.", "The last epoch was hardly better than those before."
    if remembers(levels):
        title = f"Epoch {training.kept} of {len(vals)} was the best."
        return title, "It remembers its training articles: more labels come before more epochs."
    better = f"better than all before{f' by {fixed(gain)}' if gain < inf else ''}"
    if still_gaining(by, vals, training.kept, articles, levels):
        head = training.facts.frozen_head
        more = "try more epochs" if head is None else "try more epochs of the head (head_epochs)"
        title = "Training was stopped while it still helped."
        return title, f"The last epoch was still {better}: {more}."
    error = standard_error(by, vals[-1], articles)
    known = f"less than its standard error of {fixed(error)} on {integer(articles)} articles"
    chance = known if error is not None else "and how much of that is chance is not known"
    title = "Whether more epochs would help is not certain."
    return title, f"The last epoch was {better}, {chance}."


def _levels(record: Record | None) -> Mapping[str, str]:
    lines = record.decision.lines if record else ()
    return {line.name: line.level for line in lines if line.decides}


def _by_epoch(values: list[float | None], kept: int, course: list[float]) -> str:
    """All of a few epochs; of many the first, the best, the kept and the last."""
    ran = len(values)
    if ran == 1:
        return f": {fixed(values[0])}"
    if ran <= _FEW_EPOCHS:
        return f" by epoch: {', '.join(map(fixed, values))}"
    shown = sorted({1, course.index(max(course)) + 1, kept, ran})
    return f": {', '.join(f'{fixed(values[at - 1])} in epoch {at}' for at in shown)}"


def _line(record: Record, name: str) -> Line | None:
    return next((line for line in record.decision.lines if line.name == name), None)
