"""Dataset QA: every line fires on labels that deserve it, and on no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery_core.dataset.describe import judge_quality
from distillery_core.dataset.quality import (
    Labels,
    filter_kind,
    quality_measurements,
    quality_statistics,
)
from distillery_core.filters.filter import Filter

ROOT = Path(__file__).parents[2]


def good(rows: int = 400, **changes: Any) -> Labels:
    scores = np.random.default_rng(3).uniform(0, 10, (rows, 2))
    base = Labels(("depth", "harm"), scores, scores.mean(axis=1), [None] * rows, rows)
    return replace(base, **changes)


def with_scores(
    scores: np.ndarray[Any, Any], classes: Sequence[str | None] | None = None
) -> Labels:
    rows = len(scores)
    return good(
        rows,
        scores=scores,
        overall=scores.mean(axis=1),
        classes=list(classes) if classes else [None] * rows,
    )


def column(values: np.ndarray[Any, Any]) -> Labels:
    """Good labels with another second dimension."""
    return with_scores(np.column_stack([good(len(values)).scores[:, 0], values]))


def zeros(count: int, rows: int = 400) -> np.ndarray[Any, Any]:
    scores = good(rows).scores.copy()
    scores[:count] = 0
    return scores


UNIFORM = np.random.default_rng(4).uniform(0, 10, 400)
FAULTS: list[tuple[str, str, Labels]] = [
    ("rows_missing_dimension", "FAIL", good(rejected={"missing_dimension": 5}, rows_read=405)),
    ("rows_missing_dimension", "OK", good(rejected={"missing_dimension": 4}, rows_read=404)),
    ("scores_out_of_range", "FAIL", good(rejected={"out_of_range": 1}, rows_read=401)),
    ("scores_out_of_range", "FAIL", good(rejected={"not_finite": 1}, rows_read=401)),
    ("invalid_answers", "FAIL", good(rejected={"not_a_number": 30}, rows_read=430)),
    ("invalid_answers", "OK", good(rejected={"not_a_number": 20}, rows_read=420)),
    ("duplicate_ids", "FAIL", good(rejected={"duplicate_id": 30}, rows_read=430)),
    ("one_sided_dimensions", "FAIL", column(UNIFORM * 0.49)),
    ("one_sided_dimensions", "FAIL", column(UNIFORM * 0.49 + 5.01)),
    ("one_sided_dimensions", "OK", column(np.append(UNIFORM[1:] * 0.49, 5.0))),
    ("all_zero_on_topic", "FAIL", with_scores(zeros(5), ["on_topic"] * 200 + ["edge"] * 200)),
    ("all_zero_on_topic", "OK", with_scores(zeros(4), ["on_topic"] * 400)),
    ("all_zero_on_topic", "OK", with_scores(zeros(300), ["off_topic"] * 300 + ["edge"] * 100)),
    ("all_zero_on_topic", "NOT_APPLICABLE", good()),
    ("all_zero_rows", "REVIEW", with_scores(zeros(121))),
    ("all_zero_rows", "OK", with_scores(zeros(120))),
    (
        "all_zero_rows",
        "NOT_APPLICABLE",
        with_scores(zeros(300), ["off_topic"] * 300 + ["edge"] * 100),
    ),
    ("constant_dimensions", "FAIL", column(np.full(400, 3.0))),
    ("mixed_provenance", "FAIL", good(provenances=2)),
    ("mixed_provenance", "OK", good(provenances=2, mixture_declared=True)),
    ("lowest_std", "REVIEW", column(5 + UNIFORM / 10)),
    ("fullest_bin", "REVIEW", column(np.where(np.arange(400) < 281, 0.5, UNIFORM))),
    ("highest_label", "REVIEW", with_scores(good().scores * 0.79)),
    ("highest_correlation", "REVIEW", column(good().scores[:, 0] * 0.9 + 0.5)),
]


@pytest.mark.parametrize(("line", "level", "labels"), FAULTS)
def test_line(flood: Filter, line: str, level: str, labels: Labels) -> None:
    record = judge_quality(flood, labels, ROOT)
    assert {found.name: found.level for found in record.lines}[line] == level
    if level in {"FAIL", "REVIEW"}:
        assert record.verdict != "PASS"


def test_good_labels_pass(flood: Filter) -> None:
    record = judge_quality(flood, good(), ROOT)
    assert (record.verdict, record.grade, record.kind) == ("PASS", 0, "general")
    assert {line.level for line in record.lines} <= {"OK", "NOT_APPLICABLE"}


def test_every_line_of_the_table_is_measured(flood: Filter) -> None:
    record = judge_quality(flood, good(), ROOT)
    assert set(record.measurements) == {line.name for line in record.lines}


def test_notes_name_the_dimension(flood: Filter) -> None:
    measured = quality_measurements(column(np.full(400, 3.0)))
    assert measured["constant_dimensions"].note == "harm"
    assert measured["lowest_std"].note == "harm"
    assert not measured["highest_correlation"].applicable


def test_needle_filters_may_be_one_sided(flood: Filter) -> None:
    labels = column(UNIFORM * 0.49)
    rare = replace(labels, overall=np.where(np.arange(400) < 39, 5.0, 0.5))
    record = judge_quality(flood, rare, ROOT)
    assert record.kind == "needle"
    assert "9.8 % of the labels are at or above 3" in record.kind_reason
    assert {x.name: x.level for x in record.lines}["one_sided_dimensions"] == "NOT_APPLICABLE"


def test_the_config_may_say_the_kind(flood: Filter) -> None:
    deployment = flood.config.deployment.model_copy(
        update={"kind": "needle", "kind_reason": "rare in the wild"}
    )
    named = flood.model_copy(
        update={"config": flood.config.model_copy(update={"deployment": deployment})}
    )
    kind = filter_kind(named, np.full(10, 9.0))
    assert kind.kind == "needle"
    assert kind.reason.startswith("rare in the wild")


def test_statistics_are_the_textbook_ones() -> None:
    labels = good(200)
    found = quality_statistics(labels)
    first = labels.scores[:, 0]
    assert found["dimensions"]["depth"]["mean"] == pytest.approx(first.mean(), abs=1e-4)
    assert found["dimensions"]["depth"]["std"] == pytest.approx(first.std(), abs=1e-4)
    assert sum(found["dimensions"]["depth"]["histogram"]) == 200
    expected = np.corrcoef(labels.scores.T)[0, 1]
    assert found["correlations"]["depth"]["harm"] == pytest.approx(expected, abs=1e-4)
    values = np.linalg.svd(labels.scores - labels.scores.mean(axis=0), compute_uv=False) ** 2
    share = values[0] / values.sum()
    assert found["first_component_share"] == pytest.approx(share, abs=1e-4)


def test_statistics_of_a_constant_set_and_of_one_dimension() -> None:
    flat = quality_statistics(with_scores(np.full((20, 2), 4.0)))
    assert flat["first_component_share"] is None
    assert flat["correlations"]["depth"]["harm"] is None
    single = Labels(("depth",), UNIFORM[:, None], UNIFORM, [None] * 400, 400)
    assert quality_statistics(single)["first_component_share"] == 1.0
    assert not quality_measurements(single)["highest_correlation"].applicable
