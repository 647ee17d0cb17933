"""Labels a file with several answers an article: repeats of one oracle, several oracles, or both.

Each oracle and repeat is one pass over the file, which lands in a hidden folder beside the output;
the passes are then read side by side, so that memory stays flat. Whatever was asked is in the
ledger: a run that was killed in any pass goes on from there.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from distillery_core.agreement.combining import Aggregate, combined_scores, is_majority
from distillery_core.dataset.lines import read_lines, refuse_overwriting
from distillery_core.dataset.rejects import MAX_BAD, Rejects
from distillery_core.dataset.rows import numbered_articles
from distillery_core.files import sha256_json
from distillery_core.filters.filter import Filter
from distillery_core.labelling.label_file import label_file
from distillery_core.labelling.output import LabelWriter, check_writable
from distillery_core.labelling.run import Label, LabelSettings, LabelSummary, Setback
from distillery_core.oracle.ledger_report import Activity
from distillery_core.oracle.spec import OracleSpec
from distillery_core.plugins.hookspecs import OracleProvider
from distillery_core.types import Article, Progress, silent


@dataclass(frozen=True, slots=True)
class Pass:
    """One oracle's n-th answers to a whole file."""

    spec: OracleSpec
    repeat: int

    @property
    def name(self) -> str:
        """As progress and rejected rows name it."""
        return self.spec.name if self.repeat == 1 else f"{self.spec.name}, answer {self.repeat}"


def passes_of(specs: Sequence[OracleSpec], repeats: int) -> list[Pass]:
    """All passes, first answers first: if money runs out, every article has one from somebody."""
    return [Pass(spec, repeat) for repeat in range(1, repeats + 1) for spec in specs]


def label_several(
    filter: Filter,
    source: Path,
    output: Path,
    *,
    passes: Sequence[Pass],
    aggregate: Aggregate,
    project: Path,
    settings: LabelSettings | None = None,
    max_bad: float = MAX_BAD,
    environ: Mapping[str, str] | None = None,
    providers: Mapping[str, OracleProvider] | None = None,
    recording_folder: Path | None = None,
    progress: Progress = silent,
) -> LabelSummary:
    """Label a file with one answer per pass, combined by `aggregate`.

    A label needs valid answers of more than half of the passes; an article without goes to
    `<output>.rejected.jsonl` with what each pass said. A label's provenance lists its answers.

    Returns:
        The account of all passes together; `states` counts articles by their combined outcome.

    Raises:
        As `label_file`; the budget and the stop rules hold over all passes.
    """
    check_writable(output)
    refuse_overwriting(source, output)
    settings = settings or LabelSettings()
    with _answers_folder(output) as folder:
        files = [folder / f"{number}.jsonl" for number in range(len(passes))]
        summaries: list[LabelSummary] = []
        for one, file in zip(passes, files, strict=True):
            summaries.append(
                label_file(
                    filter,
                    source,
                    file,
                    spec=one.spec,
                    project=project,
                    settings=replace(settings, repeat=one.repeat),
                    max_bad=1.0,  # what a label lacks is judged when its answers are together
                    environ=environ,
                    providers=providers,
                    recording_folder=recording_folder,
                    progress=_after(summaries, one, progress),
                )
            )
        states = _combine(filter, source, output, passes, files, aggregate, settings.limit, max_bad)
    return _together(passes, summaries, states)


@contextmanager
def _answers_folder(output: Path) -> Iterator[Path]:
    """A hidden folder for the passes' files; what a killed run left in it is removed."""
    folder = output.with_name(f".{output.name}.answers")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _after(summaries: Sequence[LabelSummary], one: Pass, progress: Progress) -> Progress:
    """Progress that goes on from the passes before."""
    before = sum(sum(summary.states.values()) for summary in summaries)

    def tell(done: int, total: int | None, note: str = "") -> None:
        del total  # of this pass alone; the caller knows that of all
        progress(before + done, None, f"{one.name}: {note}" if note else one.name)

    return tell


def _combine(
    filter: Filter,
    source: Path,
    output: Path,
    passes: Sequence[Pass],
    files: Sequence[Path],
    aggregate: Aggregate,
    limit: int | None,
    max_bad: float,
) -> Counter[str]:
    """Read the passes side by side and write each article's label, or why it has none."""
    states: Counter[str] = Counter()
    readers = [_PassReader(filter, file) for file in files]
    with Rejects(output, max_bad) as rejects:
        with LabelWriter(filter, output, rejects) as writer:
            for line, article in islice(numbered_articles(source, rejects), limit):
                found = [reader.take(article) for reader in readers]
                outcome = _outcome(passes, found, aggregate)
                states["done" if isinstance(outcome, Label) else outcome.state] += 1
                writer.write(line, article, outcome)
        rejects.check()
    return states


class _PassReader:
    """What one pass said about articles that are asked for in the order of its input."""

    def __init__(self, filter: Filter, file: Path) -> None:
        self._key = filter.analysis_key
        self._labels = _Ahead(_rows(file))
        self._skipped = _Ahead(_rows(file.with_name(f"{file.name}.skipped.jsonl")))
        rejected = _rows(file.with_name(f"{file.name}.rejected.jsonl"))
        # Rows that could not be read stand there too, in another order; they have no answer.
        self._rejected = _Ahead(r for r in rejected if str(r["kind"]).startswith("answer_"))

    def take(self, article: Article) -> Label | Setback:
        """The outcome of an article."""
        row = self._labels.take(article.id)
        if row is not None:
            found = row[self._key]
            return Label(found["dimensions"], found["reasoning"], found["provenance"])
        skipped = self._skipped.take(article.id)
        if skipped is not None:
            return Setback("skipped", skipped["reason"])
        rejected = self._rejected.take(article.id)
        if rejected is not None:
            return Setback(str(rejected["kind"]).removeprefix("answer_"), rejected["reason"])
        return Setback("open", "not asked")


class _Ahead:
    """Rows with ids, one looked at ahead."""

    def __init__(self, rows: Iterator[dict[str, Any]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def take(self, id: str) -> dict[str, Any] | None:
        """The next row if it is of this id."""
        row = self._next
        if row is None or str(row["id"]) != id:
            return None
        self._next = next(self._rows, None)
        return row


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        for line in read_lines(path):
            yield json.loads(line.data)


def _outcome(
    passes: Sequence[Pass], found: Sequence[Label | Setback], aggregate: Aggregate
) -> Label | Setback:
    labels = [
        (one, label) for one, label in zip(passes, found, strict=True) if isinstance(label, Label)
    ]
    if labels and is_majority(len(labels), len(passes)):
        return _label(passes, labels, aggregate)
    setbacks = [
        (one, setback)
        for one, setback in zip(passes, found, strict=True)
        if isinstance(setback, Setback)
    ]
    first = setbacks[0][1]
    if all(setback.state in ("skipped", "open") for _, setback in setbacks) and not labels:
        return first
    state = next((s.state for _, s in setbacks if s.state != "open"), "failed")
    said = "; ".join(f"{one.name}: {setback.reason}" for one, setback in setbacks)
    return Setback(state, f"{len(labels)} of {len(passes)} answers are valid; {said}")


def _label(
    passes: Sequence[Pass], labels: Sequence[tuple[Pass, Label]], aggregate: Aggregate
) -> Label:
    scores = combined_scores([label.scores for _, label in labels], aggregate)
    nearest = min((label for _, label in labels), key=lambda label: _distance(label, scores))
    return Label(scores, nearest.reasoning, _provenance(passes, labels, aggregate))


def _distance(label: Label, scores: Mapping[str, float]) -> float:
    return sum(abs(label.scores[name] - score) for name, score in scores.items())


def _provenance(
    passes: Sequence[Pass], labels: Sequence[tuple[Pass, Label]], aggregate: Aggregate
) -> dict[str, Any]:
    """Where a combined label comes from: what single labels say of themselves, and each answer.

    Oracle, model and parameters name everybody who was asked, so that all rows of a file agree
    even where an answer is missing. `cost_usd` leaves out recorded answers beside paid ones.
    """
    given = [label.provenance for _, label in labels]
    paid = any(one["paid"] for one in given)
    specs = list({one.spec.name: one.spec for one in passes}.values())
    return {
        "oracle": " + ".join(spec.name for spec in specs),
        "model": " + ".join(spec.model for spec in specs),
        "prompt_sha256": given[0]["prompt_sha256"],
        "text_view_sha256": given[0]["text_view_sha256"],
        "parameters_sha256": sha256_json(sorted({one["parameters_sha256"] for one in given})),
        "labelled_at": max(one["labelled_at"] for one in given),
        "cost_usd": sum(one["cost_usd"] for one in given if one["paid"] is paid),
        "paid": paid,
        "attempts": sum(one["attempts"] for one in given),
        "aggregate": aggregate,
        "asked": len(passes),
        "answers": [_answer(one, label) for one, label in labels],
    }


def _answer(one: Pass, label: Label) -> dict[str, Any]:
    kept = ("model", "parameters_sha256", "labelled_at", "cost_usd", "paid", "attempts")
    about = {key: label.provenance[key] for key in kept}
    return {"oracle": one.spec.name, "repeat": one.repeat, "scores": label.scores} | about


def _together(
    passes: Sequence[Pass], summaries: Sequence[LabelSummary], states: Mapping[str, int]
) -> LabelSummary:
    """The account of several passes as one."""
    specs = list({one.spec.name: one.spec for one in passes}.values())
    return replace(
        summaries[-1],
        oracle=" + ".join(spec.name for spec in specs),
        model=" + ".join(spec.model for spec in specs),
        paid=any(summary.paid for summary in summaries),
        states=dict(states),
        from_ledger=sum(summary.from_ledger for summary in summaries),
        interrupted=sum(summary.interrupted for summary in summaries),
        activity=sum((summary.activity for summary in summaries), Activity()),
        canaries=tuple(found for summary in summaries for found in summary.canaries),
        seconds=sum(summary.seconds for summary in summaries),
    )
