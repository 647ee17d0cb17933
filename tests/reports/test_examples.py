from __future__ import annotations

from distillery_core.reports.examples import ExampleScore, example_rows, spread


def _examples(n: int) -> list[ExampleScore]:
    return [ExampleScore(f"t{i}", float(i), "watch", {"a": 1.0, "b": float(i)}) for i in range(n)]


def test_examples_are_spread_from_the_highest_to_the_lowest() -> None:
    assert [one.overall for one in spread(_examples(11), 3)] == [10.0, 5.0, 0.0]
    assert len(spread(_examples(2), 5)) == 2
    assert [one.overall for one in spread(_examples(4), 1)] == [3.0]


def test_rows_name_the_highest_dimension() -> None:
    assert example_rows(_examples(3)[2:]) == [("t2", "2.0", "watch", "-", "b 2.0")]
    assert example_rows([ExampleScore("t", 1.0, "none", {}, 2.0)]) == [
        ("t", "1.0", "none", "2.0", "-")
    ]
