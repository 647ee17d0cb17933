"""Verdicts: criteria tables, decisions, reports that a gate can read again, approvals, the gate.

measurement.py  one measured number              judgement.py     judges one line
comparison.py   validation against calibration   decision.py      the worst line decides
conditions.py   limits such as "< 0.10"          front_matter.py  sealed reports
criteria.py     agents/<agent>/criteria.yaml     approvals.py     approvals.yaml
overrides.py    a filter's own limits            gate.py          open or closed, why, what next
wording.py      numbers in words                 tables.py        the tables as markdown
sealed_yaml.py  YAML that came in a pull request
"""

from __future__ import annotations

from distillery_core.verdicts.approvals import Approval, approve, read_approvals
from distillery_core.verdicts.comparison import fisher_one_sided, worse_by
from distillery_core.verdicts.criteria import (
    Criteria,
    CriteriaLine,
    Kind,
    load_criteria,
    read_criteria,
)
from distillery_core.verdicts.decision import Decision, Lowered, decide
from distillery_core.verdicts.front_matter import (
    Report,
    ReportFront,
    read_report,
    render_report,
    write_report,
)
from distillery_core.verdicts.gate import GateState, all_open, check_report
from distillery_core.verdicts.judgement import LineResult
from distillery_core.verdicts.measurement import Measurement, not_applicable, rate, wilson
from distillery_core.verdicts.overrides import with_overrides
from distillery_core.verdicts.tables import render_table

__all__ = [
    "Approval",
    "Criteria",
    "CriteriaLine",
    "Decision",
    "GateState",
    "Kind",
    "LineResult",
    "Lowered",
    "Measurement",
    "Report",
    "ReportFront",
    "all_open",
    "approve",
    "check_report",
    "decide",
    "fisher_one_sided",
    "load_criteria",
    "not_applicable",
    "rate",
    "read_approvals",
    "read_criteria",
    "read_report",
    "render_report",
    "render_table",
    "wilson",
    "with_overrides",
    "worse_by",
    "write_report",
]
