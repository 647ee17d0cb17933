from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.errors import UserError
from distillery_core.reports.record import read_record, record_of, record_path, write_record
from distillery_core.reports.rendering import render_record
from distillery_core.stages.project import Project
from distillery_core.verdicts.front_matter import read_report

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATE = REPOSITORY / "agents/model_evaluation/report.md.j2"

JudgedProject = Callable[..., Project]


@pytest.fixture
def report(judged_project: JudgedProject) -> Path:
    return judged_project().root / "filters/floods/v1/model_evaluation.md"


def test_the_markdown_is_rendered_from_the_record_on_disk(report: Path) -> None:
    record = read_record(record_path(report))
    assert render_record(record, TEMPLATE) == read_report(report).body


def test_reading_and_writing_again_gives_the_same_bytes(report: Path, tmp_path: Path) -> None:
    path = record_path(report)
    write_record(tmp_path / "again.json", read_record(path))
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_the_same_evidence_gives_the_same_record(
    judged_project: JudgedProject, tmp_path: Path
) -> None:
    _own_agent(tmp_path / "two")  # which makes it anew
    paths = [judged_project(name).root / "filters/floods/v1" for name in ("one", "two")]
    one, two = ((path / "model_evaluation.json").read_bytes() for path in paths)
    assert one == two


def test_it_holds_every_line_and_number_of_the_report(report: Path) -> None:
    front, record = read_report(report).front, read_record(record_path(report))
    assert record.decision.word == front.verdict
    assert {name: one.value for name, one in record.measurements.items()} == {
        name: one.value for name, one in front.measurements.items()
    }
    body = read_report(report).body
    shown = [line for line in record.decision.lines if line.level != "NOT_APPLICABLE"]
    assert all(line.value_text in body for line in shown)
    assert len(record.shown["points"]["labels"]) == front.counts["test"]  # type: ignore[index,call-overload,arg-type]


def test_a_row_of_numbers_is_one_line(report: Path) -> None:
    text = record_path(report).read_text(encoding="utf-8")
    assert len(text.splitlines()) < 2500
    assert json.loads(text)["shown"]["points"]["dimensions"] == ["harm", "area", "loss"]


def test_the_report_names_its_record(report: Path) -> None:
    found = record_of(report, read_report(report))
    assert found is not None and found.filter == "floods:v1"


def _changed(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def test_a_record_in_another_layout_is_the_same_record(report: Path) -> None:
    _changed(record_path(report), lambda value: None)
    assert record_of(report, read_report(report)) is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda value: value["measurements"]["test_mae"].update(value=0.1), "was changed after"),
        (lambda value: value.update(next_step="Deploy it."), "was changed after"),
        (lambda value: value.update(schema=2), "schema 2; this version"),
        (lambda value: value.update(schema=True), "schema True; this version"),
        (lambda value: value.pop("schema"), "schema None; this version"),
        (lambda value: value.update(extra=1), "extra: Extra inputs are not permitted"),
        (lambda value: value["decision"].update(level="GREAT"), "decision.level"),
        (lambda value: value["decision"]["lines"][0].update(decides="yes"), "valid boolean"),
    ],
)
def test_a_changed_record_is_refused(
    report: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    _changed(record_path(report), change)
    with pytest.raises(UserError, match=said):
        record_of(report, read_report(report))


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1, "schema": 1}', "[" * 200_000, "NaN"])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError):
        read_record(path)


def test_a_missing_record_is_refused_and_one_that_never_was_is_not(report: Path) -> None:
    record_path(report).unlink()
    whole = read_report(report)
    with pytest.raises(UserError, match="no such record"):
        record_of(report, whole)
    whole.front.numbers.pop("record_sha256")
    assert record_of(report, whole) is None


def test_hostile_titles_stay_text_in_the_record_and_are_escaped_in_the_report(
    judged_project: JudgedProject,
) -> None:
    title = '<script>alert(1)</script> @ada #1 [x](javascript:alert(1)) "}]'
    report = judged_project(title=title).root / "filters/floods/v1/model_evaluation.md"
    worst: Any = read_record(record_path(report)).shown["worst"]
    assert worst[0]["title"] == title
    body = read_report(report).body
    assert "<script" not in body and "@ada" not in body and "[x](" not in body


def test_texts_are_cut_to_the_excerpt_that_the_filter_allows(report: Path) -> None:
    for path in (report, record_path(report)):
        text = path.read_text(encoding="utf-8")
        assert "SECRET-BEGINNING of article" in text
        assert "SECRET-END" not in text


def test_a_template_of_the_project_takes_the_place_of_ours(
    judged_project: JudgedProject, tmp_path: Path
) -> None:
    folder = _own_agent(tmp_path / "project")
    template = folder / "report.md.j2"
    template.write_text("# {{ filter }}: {{ verdict }}, {{ dimensions[0].name }}\n", "utf-8")
    report = judged_project().root / "filters/floods/v1/model_evaluation.md"
    body = read_report(report).body
    assert body.startswith("# floods:v1: ") and body.endswith(", harm\n")
    assert render_record(read_record(record_path(report)), template) == body


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("# ok\n\n{{ nothing_such }}", 3, "'nothing_such' is undefined"),
        ("# ok\n{% if verdict %}\n", 2, "Unexpected end of template"),
        ("\n{{ ''.__class__.__mro__ }}", 2, "unsafe"),
        ("\n\n\n{{ dimensions[99].mae | fixed }}", 4, "no element 99"),
        ("{{ verdict | fixed }}", 1, "must be real number"),
    ],
)
def test_a_broken_template_names_its_line_and_leaves_what_was_there(
    judged_project: JudgedProject, tmp_path: Path, source: str, line: int, said: str
) -> None:
    home = judged_project().root / "filters/floods/v1"
    before = {path.name: path.read_bytes() for path in home.glob("model_evaluation.*")}
    (_own_agent(tmp_path / "project") / "report.md.j2").write_text(source, encoding="utf-8")
    with pytest.raises(UserError, match=said) as refused:
        judged_project(error=0.7)
    assert refused.value.where is not None
    assert refused.value.where.endswith(f"report.md.j2:{line}")
    assert refused.value.exit_code == 2
    assert {path.name: path.read_bytes() for path in home.glob("model_evaluation.*")} == before


def _own_agent(project: Path) -> Path:
    folder = project / "agents" / "model_evaluation"
    folder.mkdir(parents=True)
    for path in (REPOSITORY / "agents/model_evaluation").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder
