"""Renders a verdict table as markdown, for the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable

from distillery_core.verdicts import wording
from distillery_core.verdicts.criteria import Criteria, CriteriaLine

_NONE = "-"


def render_table(criteria: Criteria) -> str:
    """All lines of a table with their limits, as a markdown table."""
    words = criteria.words
    head = f"| line | what is measured | {words.ok} | {words.fail} | notes |"
    rows = [_row(line) for line in criteria.lines]
    if criteria.reading:
        rows.append(
            f"| `reading` | {_cell(criteria.reading)} | {_NONE} | {_NONE} | may only lower |"
        )
    return "\n".join([head, "|---|---|---|---|---|", *rows]) + "\n"


def with_tables(document: str, tables: Iterable[Criteria]) -> str:
    """The document with each `<!-- table: AGENT -->` block holding its table as it is today.

    Raises:
        ValueError: a table has no block.
    """
    for criteria in tables:
        start = f"<!-- table: {criteria.agent} -->\n"
        block = re.compile(re.escape(start) + r".*?(?=<!-- end -->)", re.DOTALL)
        if not block.search(document):
            raise ValueError(f"no block {start.strip()}")
        table = f"{start}{render_table(criteria)}"
        document = block.sub(lambda _, table=table: table, document)  # type: ignore[misc]
    return document


def _row(line: CriteriaLine) -> str:
    fail = line.fail_band
    cells = [
        f"`{line.name}`",
        _cell(line.measures),
        _limit(wording.condition(line.ok_band, line), line.ok_by),
        _limit(wording.condition(fail, line), line.fail_by) if fail else _NONE,
        _cell("; ".join(_notes(line)) or _NONE),
    ]
    return f"| {' | '.join(cells)} |"


def _limit(text: str, by: str) -> str:
    how = {"interval": " (whole interval)", "overlap": " (any of the interval)"}.get(by, "")
    return _cell(text + how)


def _notes(line: CriteriaLine) -> Iterable[str]:
    if line.minimum_n:
        less = " else not applicable" if line.below_minimum == "not_applicable" else ""
        whose = f" of `{line.minimum_n_of}`" if line.minimum_n_of else ""
        yield f"n{whose} >= {line.minimum_n}{less}"
    yield from (f"fails only if `{name}` {text}" for name, text in line.fail_requires.items())
    if line.rounds:
        yield f"{', '.join(line.rounds)} only"
    if line.applies_to != "all":
        yield f"{line.applies_to} filters only"
    if line.decides_for != "all":
        yield f"decides for {line.decides_for} filters only"
    if line.fails_for != "all":
        yield f"fails for {line.fails_for} filters only"
    if line.may_not_apply:
        yield "may not apply" + (f", then `{line.stand_in}` must" if line.stand_in else "")
    if line.override_reason:
        yield f"shipped: {line.shipped_limits}; changed: {line.override_reason}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
