from __future__ import annotations

import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_core.errors import UserError
from distillery_core.filters import load_filter
from distillery_core.reports.record import Record, read_record
from distillery_core.reports.training_document import write_document
from distillery_core.reports.training_plots import Plot, write_training_plots
from distillery_core.reports.training_record import TrainingReport, read_training
from distillery_core.reports.training_summary import training_summary
from distillery_core.reports.word import WordDocument
from distillery_core.stages.project import Project
from tests.reports.training_files import write_run

DATE = datetime(2026, 11, 22, tzinfo=UTC)
HEADINGS = ["Executive summary", "Methodology", "Results", "Conclusions"]


@pytest.fixture
def judged(judged_project: Callable[..., Project]) -> TrainingReport:
    home = judged_project(n=150, title="=HYPERLINK(1) & <b>{}</b> \x0b").root / "filters/floods/v1"
    history = write_run(home)
    training = read_training(history, home / "training_metadata.json")
    record = read_record(home / "model_evaluation.json")
    return TrainingReport("floods", 1, training, load_filter(home), record)


def written(report: TrainingReport, folder: Path, name: str = "r.docx") -> Any:
    import docx

    pictures, plots = drawn(report)
    write_document(folder / name, report, plots, pictures)
    return docx.Document(str(folder / name))


def drawn(report: TrainingReport) -> tuple[Path, list[Plot]]:
    """The pictures of a report; drawing takes longer than all else, so each is drawn once."""
    key = f"{len(report.training.epochs)}-{report.record is None}"
    if key not in _DRAWN:
        folder = Path(_FOLDER.name) / key
        _DRAWN[key] = (folder, write_training_plots(folder, report.training, report.record))
    return _DRAWN[key]


_FOLDER = tempfile.TemporaryDirectory(prefix="drawn-")
_DRAWN: dict[str, tuple[Path, list[Plot]]] = {}


def texts(document: Any) -> list[str]:
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return [*(paragraph.text for paragraph in document.paragraphs), *cells]


def shapes(document: Any) -> list[Any]:
    return [shape._inline.docPr for shape in document.inline_shapes]


def test_it_holds_every_part_and_every_picture(judged: TrainingReport, tmp_path: Path) -> None:
    document = written(judged, tmp_path)
    found = [one.text for one in document.paragraphs if one.style.name == "Heading 1"]
    assert [name for name in found if name in HEADINGS] == HEADINGS
    names = [f"{properties.get('name')}.png" for properties in shapes(document)]
    assert sorted(names) == sorted(plot.name for plot in drawn(judged)[1]) and len(names) == 6


def test_every_picture_has_words_and_every_part_a_caption(
    judged: TrainingReport, tmp_path: Path
) -> None:
    document = written(judged, tmp_path)
    assert all(len(properties.get("descr", "")) > 20 for properties in shapes(document))
    captions = [one.text for one in document.paragraphs if one.style.name == "Caption"]
    figures = [text for text in captions if text.startswith("Figure")]
    tables = [text for text in captions if text.startswith("Table")]
    assert [text.split(".")[0] for text in figures] == [f"Figure {n + 1}" for n in range(6)]
    assert [text.split(".")[0] for text in tables] == [
        f"Table {n + 1}" for n in range(len(document.tables))
    ]


def test_its_numbers_are_the_records(judged: TrainingReport, tmp_path: Path) -> None:
    assert isinstance(judged.record, Record)
    told = texts(written(judged, tmp_path))
    for line in judged.record.decision.lines:
        if line.level != "NOT_APPLICABLE":
            assert line.title in told and (line.value_text or "-") in told
    assert any(f"The verdict is {judged.record.decision.word}." in text for text in told)


def test_tables_fit_the_page_and_repeat_their_heads(judged: TrainingReport, tmp_path: Path) -> None:
    document = written(judged, tmp_path)
    [section] = document.sections
    room = section.page_width - section.left_margin - section.right_margin
    for table in document.tables:
        assert sum(cell.width for cell in table.rows[0].cells) <= room
        assert table.rows[0]._tr.xpath("./w:trPr/w:tblHeader")
    assert document.sections[0].footer.paragraphs[0]._p.xpath(".//w:instrText[contains(., 'PAGE')]")


@pytest.mark.parametrize(("rows", "apart"), [(5, []), (14, []), (30, range(2, 29))])
def test_no_row_of_a_table_stands_alone_on_a_page(
    rows: int, apart: Sequence[int], tmp_path: Path
) -> None:
    import docx

    word = WordDocument("t", "r", DATE)
    word.table("c", ("a", "b"), [(str(n), "x") for n in range(rows)], (0.5, 0.5))
    word.save(tmp_path / "t.docx")
    [table] = docx.Document(str(tmp_path / "t.docx")).tables
    kept = [row.cells[0].paragraphs[0].paragraph_format.keep_with_next for row in table.rows]
    assert [at for at, one in enumerate(kept[:-1]) if not one] == list(apart)
    assert not kept[-1]


def test_the_same_run_gives_the_same_bytes(judged: TrainingReport, tmp_path: Path) -> None:
    written(judged, tmp_path, "one.docx")
    written(judged, tmp_path, "two.docx")
    assert (tmp_path / "one.docx").read_bytes() == (tmp_path / "two.docx").read_bytes()


def test_a_hostile_title_is_text(judged: TrainingReport, tmp_path: Path) -> None:
    told = texts(written(judged, tmp_path))
    assert any(text.startswith("=HYPERLINK(1) & <b>") for text in told)
    with zipfile.ZipFile(tmp_path / "r.docx") as archive:
        targets = archive.read("word/_rels/document.xml.rels").decode()
    assert "External" not in targets


def test_without_an_evaluation_it_says_so_first(judged: TrainingReport, tmp_path: Path) -> None:
    bare = TrainingReport("floods", 1, judged.training, None, None, ("results: not evaluated",))
    told = texts(written(bare, tmp_path))
    assert any(text.startswith("This model has not been judged.") for text in told)
    assert "Not shown: results: not evaluated" in told
    assert "calibration_curve.png" not in [plot.name for plot in drawn(bare)[1]]


def test_it_says_who_labelled_and_how_many_articles_an_error_is_of(
    judged: TrainingReport, tmp_path: Path
) -> None:
    whole = texts(written(judged, tmp_path))
    assert any("The oracle (not recorded) scored" in text for text in whole)
    assert "1,920" in whole
    history = write_run(
        tmp_path,
        labelled_by=[{"oracle": "another-oracle", "rows": 2400}],
        train_evaluated_on={"articles": 384, "mode": "evaluation"},
    )
    training = read_training(history, tmp_path / "training_metadata.json")
    for record in (judged.record, None):
        report = replace(judged, training=training, record=record)
        told = texts(written(report, tmp_path))
        assert any("The oracle (another-oracle) scored every article" in text for text in told)
        assert "384 of 1,920" in told and "1,920" not in told
        assert "\ntrain: on 384 of 1,920 articles\n" in training_summary(report)
    assert "train: on" not in training_summary(judged)


def test_a_history_of_bare_validation_errors_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "training_history.json"
    path.write_text('[{"epoch": 1, "val": {"mae": 0.9}}]', encoding="utf-8")
    report = TrainingReport("x", 1, read_training(path, None), None, None)
    assert "Validation MAE" in texts(written(report, tmp_path))
    assert [plot.name for plot in drawn(report)[1]] == ["overall_metrics.png"]


def test_without_python_docx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docx", None)
    with pytest.raises(UserError, match=r"distillery-core\[docx\]"):
        WordDocument("title", "running", DATE)


@settings(max_examples=25, deadline=None)
@given(text=st.text(min_size=1))
def test_any_text_can_be_written(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    import docx

    path = tmp_path_factory.mktemp("word") / "any.docx"
    word = WordDocument(text, text, DATE)
    word.paragraph(text, bold=text)
    word.markdown(text)
    word.table(text, (text, "b"), [(text, text)], (0.5, 0.5))
    word.save(path)
    assert docx.Document(str(path)).core_properties.author == "Distillery"


def test_markdown_keeps_bold_and_code_and_nothing_else(tmp_path: Path) -> None:
    import docx

    word = WordDocument("t", "r", DATE)
    word.markdown(
        "**Label more** (1.2, wanted &lt; 1): `--epochs 7`, see [x](https://example.org)."
    )
    word.save(tmp_path / "m.docx")
    [paragraph] = [
        p for p in docx.Document(str(tmp_path / "m.docx")).paragraphs if "Label" in p.text
    ]
    assert paragraph.text == "Label more (1.2, wanted < 1): --epochs 7, see x."
    assert [run.text for run in paragraph.runs if run.bold] == ["Label more"]
