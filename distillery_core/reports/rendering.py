"""From a record to its report's markdown, by the agent's template."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from markupsafe import Markup

from distillery_core.reports.line_table import line_notes, line_table, marked, not_applicable_lines
from distillery_core.reports.record import Record
from distillery_core.reports.templates import render_file

_FOLDER = re.compile(r"[\w-]+")


def render_record(record: Record, template: Path) -> str:
    """The report's markdown; the same record gives the same bytes.

    Raises:
        UserError: the template is missing or broken, with its line.
    """
    return render_file(template, _context(record))


def _context(record: Record) -> dict[str, Any]:
    """What a template may name: the record's own fields and `shown`, nothing else."""
    plain = record.to_dict()
    finished = (Markup(text) for text in record.recommendations)  # noqa: S704  # by `advice`
    return {
        **plain["shown"],
        "plots": _folder(record.shown.get("plots")),
        "filter": record.filter,
        "title": record.title,
        "round": record.round,
        "kind": record.kind,
        "decision": plain["decision"]
        | {"because": [one.model_dump() for one in record.decision.because]},
        "verdict": marked(record.decision.level, record.decision.word),
        "measured": plain["measurements"],
        "line_table": line_table(record),
        "notes": line_notes(record),
        "not_applicable": not_applicable_lines(record),
        "recommendations": list(finished),
        "next_step": Markup(record.next_step),  # noqa: S704  # by `advice`, which escapes
        "reading": plain["reading"],
        "lowered": plain["lowered"],
        "read_by": record.read_by,
        "evidence": plain["evidence"],
    }


def _folder(name: Any) -> Markup:
    """The folder of plots beside the report; part of an address, so only a plain name is taken."""
    plain = name if isinstance(name, str) and _FOLDER.fullmatch(name) else ""
    return Markup(plain)  # noqa: S704  # word characters only
