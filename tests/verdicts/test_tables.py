from __future__ import annotations

import os
from pathlib import Path

import pytest

from distillery_core.verdicts import read_criteria, render_table, with_overrides
from distillery_core.verdicts.tables import with_tables

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/verdicts.md"
TABLES = [read_criteria(path) for path in sorted((ROOT / "agents").glob("*/criteria.yaml"))]


def test_the_document_shows_the_tables_as_they_are():
    """`DISTILLERY_WRITE_DOCS=1 pytest tests/verdicts/test_tables.py` writes them anew."""
    text = DOCUMENT.read_text(encoding="utf-8")
    now = with_tables(text, TABLES)
    if os.environ.get("DISTILLERY_WRITE_DOCS"):
        DOCUMENT.write_text(now, encoding="utf-8")
        text = now
    assert text == now


def test_every_line_has_a_row_of_five_cells():
    for criteria in TABLES:
        rows = render_table(criteria).splitlines()
        assert len(rows) == 2 + len(criteria.lines) + bool(criteria.reading)
        assert all(row.count("|") - row.count("\\|") == 6 for row in rows)


def test_an_override_is_shown_with_what_it_changed():
    criteria = next(table for table in TABLES if table.agent == "prompt_calibration")
    changed = with_overrides(criteria, {"flat_share": {"ok": "< 0.3", "reason": "a | b <i>"}})
    row = next(row for row in render_table(changed).splitlines() if "flat_share" in row)
    assert "&lt; 30 %" in row
    assert "shipped: ok &lt; 0.20, fail > 0.50; changed: a \\| b &lt;i>" in row


def test_a_document_without_the_block_is_refused():
    with pytest.raises(ValueError, match="no block"):
        with_tables("# Verdicts\n", TABLES)
