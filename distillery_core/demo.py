"""`distillery demo`: the whole way on 350 real articles, with recorded answers for an oracle.

It runs the very stages that the verbs run, on a project of its own, and says at each what a person
would type. Nothing is paid, nothing is downloaded, no verdict is bent: where a gate stays closed,
the demo shows what a person could do about it.
"""

from __future__ import annotations

import html
import importlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from distillery_core.dataset.sampling import Round
from distillery_core.errors import CheckFailed, UserError
from distillery_core.files import atomic_write
from distillery_core.filters import Filter, resolve_filter
from distillery_core.filters.score_rules import overall
from distillery_core.filters.text_view import pattern_text
from distillery_core.oracle.recording import HEAD, RecordingHead
from distillery_core.plugins.manager import load_plugins
from distillery_core.reports.examples import (
    EXAMPLE_HEADER,
    ExampleScore,
    example_rows,
    spread,
)
from distillery_core.stages import calibrate, evaluate, gates, label, prepare, promote, score, train
from distillery_core.stages.oracles import RECORDING, choose_oracle, oracle_identity
from distillery_core.stages.project import Project
from distillery_core.types import Level, Progress
from distillery_core.verdicts.decision import Decision
from distillery_core.verdicts.gate import GateState
from distillery_core.yaml_source import load_model

FILTER = "crisis"
APPROVER = "distillery demo"
WHY = "a demonstration: nobody's newsroom depends on it"
SHOWN_SCORES = 8
INSTALL = 'pip install "distillery-core[demo]" distillery-filter-crisis'


class Task(Protocol):
    """One piece of long work on the screen."""

    progress: Progress

    def say(self, line: str) -> None: ...


class Screen(Protocol):
    """Where the demo shows itself."""

    def heading(self, text: str) -> None: ...
    def say(self, text: str) -> None: ...
    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None: ...
    def work(self, title: str) -> AbstractContextManager[Any]: ...


@dataclass
class DemoResult:
    """What the demo came to, for a caller that wants to check it."""

    verdicts: dict[str, str] = field(default_factory=dict)
    labelled: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    test_mae: float | None = None
    promoted: bool = False
    scored: int = 0
    reports: list[Path] = field(default_factory=list)
    seconds: float = 0.0


def run_demo(folder: Path, screen: Screen, overrides: dict[str, Any] | None = None) -> DemoResult:
    """Run the demo in a project folder.

    Args:
        overrides: training settings that win over the filter's, for a shorter run.

    Raises:
        UserError: the crisis plugin or the extra `demo` is not installed.
    """
    return _Demo(Project(folder.resolve()), screen, overrides or {}).run()


class _Demo:
    def __init__(self, project: Project, screen: Screen, overrides: dict[str, Any]) -> None:
        self.project, self.screen, self.overrides = project, screen, overrides
        self.result = DemoResult()
        self.started = self.lap = time.monotonic()

    def run(self) -> DemoResult:
        corpus = self._articles()
        labelled = self._calibrated(corpus) and self._labelled(corpus)
        if labelled:
            self._trained()
            self._judged()
            self._used(corpus)
        self._goodbye()
        return self.result

    @property
    def filter(self) -> Filter:
        """Resolved anew: the first report brings the plugin's filter into the project."""
        return resolve_filter(FILTER, self.project.root)

    def _articles(self) -> Path:
        self.screen.heading("Articles")
        path = self.project.root / "articles.jsonl"
        count = _write_articles(path, _corpus()())
        self.screen.say(f"{count} real news articles (Lee corpus, 2001-02): {self._short(path)}")
        return path

    def _calibrated(self, corpus: Path) -> bool:
        """Both rounds; False if the gate stays closed."""
        rounds: Sequence[tuple[Round, str]] = (("calibration", ""), ("validation", " --validate"))
        for kind, option in rounds:
            command = f"distillery calibrate --filter {FILTER} --input articles.jsonl{option}"
            self._begin(f"Oracle prompt: {kind}", command)
            with self.screen.work(kind) as task:
                found = calibrate.calibrate(
                    self.project, self.filter, round=kind, input=corpus,
                    progress=task.progress,
                )  # fmt: skip
            self.screen.say(f"{found.summary.labelled} answers; {found.summary.money_line()}")
            self._verdict(kind, found.judged.decision, found.judged.report_path)
        spec = choose_oracle(self.project, self.filter)
        state = gates.calibration_gate(
            self.project, self.filter, oracle_identity(self.filter, spec)
        )
        return self._gate("batch labelling", state, ("calibration", "validation"))

    def _labelled(self, corpus: Path) -> bool:
        self._begin("Labels", f"distillery label --filter {FILTER} --input articles.jsonl")
        with self.screen.work("label") as task:
            found = label.label(self.project, self.filter, input=corpus, progress=task.progress)
        summary = found.summary
        self.result.labelled = summary.labelled
        self.screen.say(
            f"{summary.labelled} labelled, {summary.from_ledger} of them from the ledger (never"
            f" asked twice); {summary.money_line()}"
        )
        self._begin("Dataset", f"distillery prepare --filter {FILTER}")
        manifest = prepare.prepare(self.project, self.filter).manifest
        self.result.rows = {name: split.rows for name, split in manifest.splits.items()}
        rows = ", ".join(f"{count} {name}" for name, count in self.result.rows.items())
        quality = manifest.quality
        self.screen.say(f"{rows}; leaks {manifest.leak.test}; dataset QA {quality.verdict}")
        if quality.verdict == "FAIL":
            self.screen.say(f"training refuses this dataset: {quality.deciding_line}")
        return quality.verdict != "FAIL"

    def _trained(self) -> None:
        self._begin("Student", f"distillery train --filter {FILTER}")
        with self.screen.work("train") as task:
            found = train.train(
                self.project, self.filter, overrides=self.overrides,
                progress=task.progress, say=task.say,
            )  # fmt: skip
        self.screen.say(f"best validation MAE {found.best_val_mae:.3f}")

    def _judged(self) -> None:
        self._begin("Evaluation", f"distillery evaluate --filter {FILTER}")
        with self.screen.work("evaluate") as task:
            found = evaluate.evaluate(self.project, self.filter, progress=task.progress)
        self.result.test_mae = found.judged.front.measurements["test_mae"].value
        self._verdict("evaluation", found.judged.decision, found.judged.report_path)
        for advice in found.judged.recommendations:
            self.screen.say(f"  recommended: {_plain(advice)}")

    def _used(self, corpus: Path) -> None:
        state = gates.evaluation_gate(self.project, self.filter)
        if self._gate("promotion", state, ("evaluation",), record=False):
            promote.promote(self.project, self.filter, who=APPROVER)
            self.result.promoted = True
        reference = FILTER if self.result.promoted else f"{FILTER}:v1"
        option = "" if self.result.promoted else " --unpromoted"
        command = f"distillery score --filter {reference} --input articles.jsonl{option}"
        self._begin("Scores", f"{command} --output scores.jsonl")
        if option:
            self.screen.say("The model is not promoted; --unpromoted is what lets us look anyway.")
        output = self.project.root / "scores.jsonl"
        with self.screen.work("score") as task:
            found = score.score(
                self.project, reference, input=corpus, output=output,
                unpromoted=bool(option), progress=task.progress,
            )  # fmt: skip
        self.result.scored = found.summary.scored
        speed = found.summary.articles_per_second
        self.screen.say(f"{found.summary.scored} articles scored, {speed:.0f} a second")
        self._examples(output)

    def _examples(self, output: Path) -> None:
        """Scores from the highest to the lowest, beside what the oracle said."""
        labelled = self._labelled_overalls()
        examples = [
            ExampleScore(
                row["title"], row["overall"], row["tier"], row["scores"], labelled.get(row["id"])
            )
            for row in _rows(output)
            if row["status"] == "scored"
        ]
        self.screen.table(EXAMPLE_HEADER, example_rows(spread(examples, SHOWN_SCORES)))
        self.screen.say("labelled: the oracle's overall score; four in five were trained on.")

    def _labelled_overalls(self) -> dict[str, float]:
        chosen = self.filter
        return {
            row["id"]: overall(
                chosen,
                row[chosen.analysis_key]["dimensions"],
                pattern_text(row["title"], row["content"]),
            ).value
            for row in _rows(self.project.labelled_path(chosen))
        }

    def _gate(
        self, what: str, state: GateState, kinds: Sequence[gates.ReportKind], record: bool = True
    ) -> bool:
        """Say how a gate stands; on a REVIEW show, and for labelling record, the approval."""
        self.screen.say(f"gate before {what}: {'open' if state.open else 'closed'}")
        if state.open:
            return True
        for reason in state.reasons:
            self.screen.say(f"  - {reason}")
        if state.level is Level.FAIL:
            return self._refused(kinds)
        self.screen.say(f"A person who has read the report may approve it:\n  {state.next_command}")
        if not record:
            return False
        for kind in kinds:
            self._approve(kind)
        self.screen.say(f"The demo records that approval as {APPROVER!r} and goes on.")
        return True

    def _approve(self, kind: gates.ReportKind) -> None:
        try:
            gates.approve(self.project, self.filter, report=kind, who=APPROVER, why=WHY)
        except UserError:  # a PASS needs none
            return

    def _refused(self, kinds: Sequence[gates.ReportKind]) -> bool:
        """A FAIL: show that nobody can approve it."""
        for kind in kinds:
            try:
                gates.approve(self.project, self.filter, report=kind, who=APPROVER, why=WHY)
            except CheckFailed as refusal:
                self.screen.say(f"Approving it is refused: {refusal}")
            except UserError:
                continue
        return False

    def _verdict(self, kind: str, decision: Decision, report: Path) -> None:
        self.result.verdicts[kind] = decision.word
        self.result.reports.append(report)
        line = decision.deciding
        self.screen.say(f"{decision.word}: {line.title}: {line.reason}")
        self.screen.say(f"report: {self._short(report)}")

    def _goodbye(self) -> None:
        self._lap()
        self.result.seconds = time.monotonic() - self.started
        self.screen.heading("Done")
        for report in self.result.reports:
            self.screen.say(f"report: {self._short(report)}")
        self.screen.say(f"{self.result.seconds:.0f} seconds; recorded, nothing was paid.")
        self.screen.say(f"To see where it stands: cd {self.project.root} && distillery status")

    def _lap(self) -> None:
        """How long the stage that ends here took."""
        now = time.monotonic()
        self.screen.say(f"({now - self.lap:.0f} s)")
        self.lap = now

    def _begin(self, title: str, command: str) -> None:
        self._lap()
        self.screen.heading(title)
        self.screen.say(f"$ {command}")

    def _short(self, path: Path) -> str:
        return self.project.relative(path)


def _plain(markdown: str) -> str:
    """A line of a report for the terminal, which renders neither bold nor entities."""
    return html.unescape(markdown).replace("**", "").replace("\\_", "_")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as handle:
        for line in handle:
            yield json.loads(line)


def _corpus() -> Callable[[], Iterable[dict[str, Any]]]:
    """The function that the plugin's recording names as the source of its articles.

    Only an installed plugin is asked, whose code runs when it is loaded anyway; a project's own
    filter folder is data, and nothing that it names is imported.
    """
    for found in load_plugins().filters:
        head = found.folder / "v1" / RECORDING / HEAD
        if found.folder.name == FILTER and head.is_file():
            module, _, function = (load_model(head, RecordingHead).corpus or "").partition(":")
            corpus: Callable[[], Iterable[dict[str, Any]]]
            corpus = getattr(importlib.import_module(module), function)
            return corpus
    raise UserError("the plugin with the demo's recorded answers is not installed", hint=INSTALL)


def _write_articles(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    with atomic_write(path) as handle:
        for row in rows:
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count
