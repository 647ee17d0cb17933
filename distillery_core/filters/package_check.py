"""Is a filter's package ready to be used? READY, REVIEW or NOT READY, line by line.

The table is criteria.md's "Filter package check": one critical line that fails makes it NOT READY,
one or two important ones make it REVIEW, three NOT READY.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from distillery_core.errors import UserError
from distillery_core.filters.cases import CASES, CaseRun, run_cases
from distillery_core.filters.filter import Filter, load_filter
from distillery_core.filters.prompt_template import CANARY_CONTENT, CANARY_TITLE, render

READY, REVIEW, NOT_READY = "READY", "REVIEW", "NOT READY"
MINIMUM_EXAMPLES = 3
MAXIMUM_IMPORTANT_FAILED = 2


@dataclass(frozen=True, slots=True)
class GateLook:
    """What the calibration gate says of the present prompt (asked by the caller)."""

    open: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One line of the check; `detail` says what was found, or what is missing."""

    name: str
    critical: bool
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class PackageCheck:
    """All lines and the word that follows from them."""

    folder: Path
    lines: tuple[CheckLine, ...]

    @property
    def word(self) -> str:
        """READY, REVIEW or NOT READY."""
        failed = [line for line in self.lines if not line.passed]
        if any(line.critical for line in failed) or len(failed) > MAXIMUM_IMPORTANT_FAILED:
            return NOT_READY
        return REVIEW if failed else READY

    @property
    def failed(self) -> tuple[CheckLine, ...]:
        """The lines that did not pass."""
        return tuple(line for line in self.lines if not line.passed)


def check_package(
    folder: Path, look_at_gate: Callable[[Filter], GateLook], origin: str = "project"
) -> PackageCheck:
    """Check a filter folder. Never raises for what is wrong with the filter: it becomes a line.

    Args:
        look_at_gate: asks the calibration gate for the loaded filter.
    """
    try:
        loaded = load_filter(folder, origin)
    except UserError as error:
        return PackageCheck(folder, (CheckLine("config", True, False, error.render()),))
    return PackageCheck(folder, tuple(_lines(loaded, look_at_gate(loaded))))


def _lines(filter: Filter, gate: GateLook) -> Iterator[CheckLine]:
    count = len(filter.dimensions)
    yield CheckLine("config", True, True, f"valid, {count} dimensions, weights sum to 1")
    yield _prompt_line(filter)
    yield _readme_line(filter)
    detail = "; ".join(gate.reasons) or ("open" if gate.open else "closed")
    yield CheckLine("calibration gate", True, gate.open, detail)
    yield _classes_line(filter)
    yield _scope_line(filter)
    yield _examples_line(filter)
    yield _cases_line(filter)


def _prompt_line(filter: Filter) -> CheckLine:
    prompt = render(filter.prompt_template, filter.config, CANARY_TITLE, CANARY_CONTENT)
    text = f"{prompt.system}\n{prompt.user}"
    unnamed = [name for name in filter.dimensions if not re.search(rf"\b{name}\b", text)]
    found = "renders with the canary and names every dimension"
    return _line("prompt", True, unnamed, found, "does not name")


def _readme_line(filter: Filter) -> CheckLine:
    path = filter.folder / "README.md"
    written = path.is_file() and bool(path.read_text(encoding="utf-8", errors="replace").strip())
    return CheckLine("README", True, written, "present" if written else "README.md is missing")


def _classes_line(filter: Filter) -> CheckLine:
    name = filter.config.sampling.classes_file
    if name is None:
        return CheckLine("classes file", True, True, "none declared")
    there = (filter.folder / name).is_file()
    return CheckLine("classes file", True, there, name if there else f"{name} is missing")


def _scope_line(filter: Filter) -> CheckLine:
    given = filter.config.filter.scope is not None
    return CheckLine("scope", False, given, "in and out given" if given else "filter.scope missing")


def _examples_line(filter: Filter) -> CheckLine:
    examples = filter.config.filter.examples
    complete = sum(set(example.scores) == set(filter.dimensions) for example in examples)
    detail = f"{complete} worked examples score every dimension, {MINIMUM_EXAMPLES} needed"
    return CheckLine("examples", False, complete >= MINIMUM_EXAMPLES, detail)


def _cases_line(filter: Filter) -> CheckLine:
    try:
        run = run_cases(filter)
    except UserError as error:
        return CheckLine("cases", False, False, error.render())
    problems = list(run.failures)
    if not run.prefilter:
        problems.append(f"no pre-filter cases in {CASES}")
    return _line("cases", False, problems, _cases_found(run), "")


def _cases_found(run: CaseRun) -> str:
    return f"{run.prefilter} pre-filter and {run.scores} score cases hold"


def _line(name: str, critical: bool, problems: Sequence[str], found: str, prefix: str) -> CheckLine:
    """Passed with what was found, or failed with the problems listed."""
    detail = found if not problems else f"{prefix} {'; '.join(problems)}".strip()
    return CheckLine(name, critical, not problems, detail)
