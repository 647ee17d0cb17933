"""Agreement of what stands in files: labelled files, combined labels, tables; what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from distillery_core.agreement import Rater
from distillery_core.cli.main import main
from distillery_core.dataset.answers import Chosen, single_answers
from distillery_core.errors import UserError
from distillery_core.filters import Filter, load_filter
from distillery_core.stages.agreement import compare_files, labels_noise, report_on_labels

CONFIG = """
filter: {name: storm, version: "1.0", scope: {in: storms, out: the rest}}
scoring:
  dimensions:
    harm: {weight: 0.5, description: people hurt}
    wind: {weight: 0.5, description: wind speed}
  tiers: [{name: high, at: 5.0}, {name: low, at: 0.0}]
"""
REFUSED = yaml.safe_load(
    (Path(__file__).parents[1] / "cases/agreement/tables.yaml").read_text(encoding="utf-8")
)
Label = Callable[..., Path]


@pytest.fixture
def storm(tmp_path: Path) -> Filter:
    folder = tmp_path / "filters" / "storm" / "v1"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "prompt.md.j2").write_text("Score: {{ article }}\n", encoding="utf-8")
    return load_filter(folder)


@pytest.fixture
def labelled(tmp_path: Path) -> Label:
    """Write labels: id -> (harm, wind), with a provenance."""

    def write(name: str, scores: dict[str, tuple[float, float]], **provenance: object) -> Path:
        path = tmp_path / name
        rows = [
            {
                "id": id,
                "content": f"text {id}",
                "storm_analysis": {
                    "dimensions": {"harm": harm, "wind": wind},
                    "provenance": provenance,
                },
            }
            for id, (harm, wind) in scores.items()
        ]
        path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
        return path

    return write


def test_two_labelled_files_are_two_raters(storm: Filter, labelled: Label) -> None:
    first = {str(n): (n % 7, n % 5) for n in range(30)}
    second = {id: (harm + 2, wind) for id, (harm, wind) in first.items() if id != "3"}
    files = [labelled("a.jsonl", first, oracle="a"), labelled("b.jsonl", second, oracle="b")]
    found = compare_files(files, storm)
    assert found.agreement.raters == {"a": 29, "b": 29}
    assert found.agreement.paired["harm"]["b"].bias.value == pytest.approx(2)
    assert found.agreement.paired["harm"]["b"].noise.value == pytest.approx(0)
    assert found.agreement.together["wind"].alpha.value == 1
    assert (
        "| `harm` | `b` | 29 | +2.00 (+2.00 to +2.00) | 0.00 (0.00 to 0.00) |" in found.markdown()
    )


def test_files_of_one_oracle_are_told_apart_by_name(storm: Filter, labelled: Label) -> None:
    scores = {str(n): (n % 7, n % 5) for n in range(5)}
    files = [labelled(name, scores, oracle="a") for name in ("x.jsonl", "y.jsonl")]
    assert set(compare_files(files, storm).agreement.raters) == {"x.jsonl", "y.jsonl"}


def test_combined_labels_are_reported_by_their_answers(storm: Filter, labelled: Label) -> None:
    def answers(harm: float) -> list[dict[str, object]]:
        return [
            {"oracle": "a", "repeat": n, "scores": {"harm": harm + n, "wind": 1.0}} for n in (1, 2)
        ]

    two = {"1": (2, 1), "2": (5, 1)}
    path = labelled("c.jsonl", two, oracle="a", aggregate="mean", answers=answers(2))
    written = report_on_labels(path, storm)
    assert written is not None
    assert written[0].name == "c.jsonl.agreement.md"
    floor = labels_noise(path, storm)
    assert floor is not None
    assert (floor.single["harm"], floor.basis, floor.answers) == (1.0, "repeats", 2)
    assert floor.label["harm"] == pytest.approx(2**-0.5)
    single = labelled("c.jsonl", {"1": (2, 1)}, oracle="a")
    assert labels_noise(single, storm) is None
    assert report_on_labels(single, storm) is None
    assert not written[0].exists()


@pytest.mark.parametrize(
    "damage",
    [
        {"answers": []},
        {"answers": "x", "aggregate": "mean"},
        {"aggregate": "median", "answers": [{"oracle": "a", "repeat": 1, "scores": {"harm": 11}}]},
    ],
)
def test_a_damaged_list_of_answers_is_none(damage: dict[str, object]) -> None:
    assert single_answers(damage) is None


def test_a_table_of_ratings(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("id,rater,harm\n1,ana,3\n2,ana,5\n1,bob,4\n2,bob,\n3,bob,1\n", encoding="utf-8")
    found = compare_files([path], None, reference="ana").agreement
    assert found.raters == {"ana": 2, "bob": 2}
    assert found.paired["harm"]["bob"].n == 1
    lines = [json.dumps({"id": i, "rater": "m", "repeat": r, "scores": {"harm": i + r}})
             for i in (1, 2) for r in (1, 2)]  # fmt: skip
    table = tmp_path / "r.jsonl"
    table.write_text("\n".join(lines), encoding="utf-8")
    repeats = compare_files([table], None).agreement.repeats
    assert repeats["harm"]["m"].difference.value == 1


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["says"])
def test_what_is_no_table_is_refused_with_its_line(tmp_path: Path, case: dict[str, str]) -> None:
    path = tmp_path / case["file"]
    path.write_text(case["text"], encoding="utf-8")
    with pytest.raises(UserError) as refused:
        compare_files([path], None, reference=case.get("reference"))
    assert case["says"] in str(refused.value)


def test_files_without_a_common_article_are_refused(storm: Filter, labelled: Label) -> None:
    files = [labelled("a.jsonl", {"1": (1, 1)}), labelled("b.jsonl", {"2": (1, 1)})]
    with pytest.raises(UserError, match="no article in common"):
        compare_files(files, storm)
    with pytest.raises(UserError, match="need --filter"):
        compare_files(files, None)


def test_names_cannot_break_the_report(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    rows = [{"id": "1", "rater": name, "ha|rm<b>": 1} for name in ("a|b", "<script>x</script>`")]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    told = compare_files([path], None, reference="a|b").markdown()
    assert "against a&#124;b" in told
    rows = [line for line in told.splitlines() if "script" in line]
    assert all(line.count("|") in (4, 8) for line in rows)


def test_the_same_articles_are_chosen_in_any_order() -> None:
    ids = [str(n) for n in range(500)]
    first, second = Chosen(50), Chosen(50)
    for id in ids:
        first.add(id, {Rater("a"): {"harm": 1.0}})
    for id in [*reversed(ids), *ids]:
        second.add(id, {Rater("b"): {"harm": 1.0}})
    assert set(first.answers) == set(second.answers)
    assert len(first.answers) == 50


def test_the_verb_writes_and_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, output = tmp_path / "r.csv", tmp_path / "out.md"
    path.write_text("id,rater,harm\n1,a,3\n2,a,5\n1,b,4\n2,b,6\n", encoding="utf-8")
    assert main(["agreement", str(path), "--reference", "a", "--output", str(output)]) == 0
    assert "harm: alpha " in capsys.readouterr().out
    assert output.read_text(encoding="utf-8").startswith("# Agreement: r.csv")
    assert main(["agreement", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["paired"]["harm"]["b"]["bias"]["value"] == 1
    assert main(["agreement", str(path), "--output", str(path)]) == 2
    assert main(["agreement", str(path), "--reference", "c"]) == 2
    assert "no rater 'c'; there are a, b" in capsys.readouterr().err
