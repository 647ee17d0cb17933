"""A Word document's parts: headings, paragraphs, tables and pictures with captions, page numbers.

The same content gives the same bytes: the archive's dates are fixed, those inside are given.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from distillery_core.errors import UserError
from distillery_core.files import atomic_write
from distillery_core.reports.markdown import one_line

FONT, CODE_FONT = "Arial", "Courier New"
"""Fonts that every machine has, or one with the same widths in their place."""

PAGE_CM = 16.6
"""Width of the text on an A4 page with these margins."""

_INK, _SHADE, _RULE = "1F3A4D", "E6EDF2", "B8C4CC"
_MARGIN_CM = 2.2
_SHORT_TABLE = 15
"""Rows, the head counted, up to which a table fills a third of a page at most."""

_FIRST_DATE = (1980, 1, 1, 0, 0, 0)
_SIZES = {"Normal": 10, "Title": 22, "Heading 1": 14, "Heading 2": 11.5, "Caption": 8.5}


def need_docx() -> Any:
    """The python-docx module.

    Raises:
        UserError: it is not installed; names the extra that brings it.
    """
    try:
        import docx
    except ImportError:
        what = "a Word document needs python-docx"
        raise UserError(what, hint='pip install "distillery-core[docx]"') from None
    return docx


class WordDocument:
    """A document that is written from top to bottom.

    Args:
        title: of the first page and in the file's properties.
        running: the line at the top of every page.
        date: of the content; the file's own date.
    """

    def __init__(self, title: str, running: str, date: datetime) -> None:
        docx = need_docx()
        self._docx: Any = docx.Document()
        self._cm, self._pt = docx.shared.Cm, docx.shared.Pt
        self._numbers = {"Figure": 0, "Table": 0}
        self._name(one_line(title), date)
        self._style()
        self._page(one_line(running))
        self._docx.add_paragraph(one_line(title), style="Title")

    def heading(self, text: str, level: int = 1) -> None:
        """A heading of level 1 or 2."""
        self._docx.add_heading(one_line(text), level)

    def paragraph(self, text: str, *, style: str | None = None, bold: str = "") -> None:
        """A paragraph of plain text, after a few words in bold."""
        paragraph = self._docx.add_paragraph(style=style)
        if bold:
            paragraph.add_run(f"{one_line(bold)} ").bold = True
        paragraph.add_run(one_line(text))

    def bullet(self, text: str, bold: str = "") -> None:
        """An item of a list."""
        self.paragraph(text, style="List Bullet", bold=bold)

    def markdown(self, text: str, style: str | None = None) -> None:
        """A paragraph of finished markdown: bold, italics and code are kept, all else is text."""
        paragraph = self._docx.add_paragraph(style=style)
        for part, bold, italic, code in _inline(text):
            run = paragraph.add_run(part)
            run.bold, run.italic = bold or None, italic or None
            if code:
                run.font.name = CODE_FONT

    def table(
        self,
        caption: str,
        header: Sequence[str],
        rows: Iterable[Sequence[str]],
        widths: Sequence[float],
        right: Iterable[int] = (),
    ) -> None:
        """A table below its caption; its first row is repeated on every page.

        Args:
            widths: shares of the page's width, which sum to 1.
            right: columns that are aligned right (numbers).
        """
        self._caption("Table", caption, above=True)
        table = self._docx.add_table(rows=0, cols=len(header))
        table.autofit = False
        _borders(table)
        numeric = set(right)
        for column, width in zip(table.columns, widths, strict=True):
            column.width = self._cm(PAGE_CM * width)
        every = [header, *rows]
        for number, cells in enumerate(every):
            self._row(table, cells, widths, numeric, head=number == 0)
            if _stays_with_next(number, len(every)):
                _keep_with_next(table.rows[-1])
        self._gap()

    def picture(self, path: Path, width: float, caption: str, words: str) -> None:
        """A picture above its caption.

        Args:
            width: share of the page's width.
            words: what it shows, for somebody who does not see it.
        """
        self._docx.add_picture(str(path), width=self._cm(PAGE_CM * width))
        paragraph = self._docx.paragraphs[-1]
        paragraph.paragraph_format.keep_with_next = True
        paragraph.alignment = 1
        for properties in paragraph._p.iter(_tag("wp:docPr")):
            properties.set("descr", one_line(words))
            properties.set("name", path.stem)
        self._caption("Figure", caption, above=False)

    def save(self, path: Path) -> None:
        """Write the document; the same content gives the same bytes."""
        raw = io.BytesIO()
        self._docx.save(raw)
        with (
            atomic_write(path, "wb") as handle,
            zipfile.ZipFile(raw) as made,
            zipfile.ZipFile(handle, "w") as fixed,
        ):
            for name in made.namelist():
                entry = zipfile.ZipInfo(name, _FIRST_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                fixed.writestr(entry, made.read(name))

    def _gap(self) -> None:
        """A line of a few points, so that a table and what follows do not touch."""
        paragraph = self._docx.add_paragraph()
        paragraph.paragraph_format.space_after = self._pt(0)
        paragraph.paragraph_format.line_spacing = self._pt(6)

    def _name(self, title: str, date: datetime) -> None:
        properties = self._docx.core_properties
        properties.title, properties.author, properties.comments = title, "Distillery", ""
        properties.created = properties.modified = date.replace(tzinfo=None)
        properties.last_modified_by, properties.revision = "Distillery", 1

    def _style(self) -> None:
        from docx.shared import RGBColor

        for name, size in _SIZES.items():
            style = self._docx.styles[name]
            style.font.name, style.font.size = FONT, self._pt(size)
            fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
            for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
                fonts.attrib.pop(_tag(f"w:{theme}"), None)
            for script in ("ascii", "hAnsi", "eastAsia", "cs"):
                fonts.set(_tag(f"w:{script}"), FONT)
            if name != "Normal":
                style.font.color.rgb = RGBColor.from_string(_INK)
        self._docx.styles["Normal"].paragraph_format.space_after = self._pt(6)
        self._docx.styles["List Bullet"].paragraph_format.space_after = self._pt(4)

    def _page(self, running: str) -> None:
        [section] = self._docx.sections
        section.page_width, section.page_height = self._cm(21.0), self._cm(29.7)
        for side in ("left", "right", "top", "bottom"):
            setattr(section, f"{side}_margin", self._cm(_MARGIN_CM))
        head, foot = section.header.paragraphs[0], section.footer.paragraphs[0]
        head.add_run(running).font.size = self._pt(9)
        foot.alignment = 1
        for text, code in (("Page ", "PAGE"), (" of ", "NUMPAGES")):
            foot.add_run(text).font.size = self._pt(9)
            _field(foot, code, "1", self._pt(9))

    def _caption(self, word: str, text: str, *, above: bool) -> None:
        self._numbers[word] += 1
        paragraph = self._docx.add_paragraph(style="Caption")
        paragraph.paragraph_format.keep_with_next = above
        paragraph.paragraph_format.space_after = self._pt(3 if above else 10)
        paragraph.add_run(f"{word} ")
        _field(paragraph, f"SEQ {word} \\* ARABIC", str(self._numbers[word]))
        run = paragraph.add_run(f". {one_line(text)}")
        run.bold = False

    def _row(
        self, table: Any, cells: Sequence[str], widths: Sequence[float], right: set[int], head: bool
    ) -> None:
        row = table.add_row()
        _whole(row, repeated=head)
        for at, (cell, text) in enumerate(zip(row.cells, cells, strict=True)):
            cell.width = self._cm(PAGE_CM * widths[at])
            paragraph = cell.paragraphs[0]
            paragraph.paragraph_format.space_after = self._pt(1)
            paragraph.paragraph_format.space_before = self._pt(1)
            run = paragraph.add_run(one_line(str(text)))
            run.font.size, run.bold = self._pt(8.5), head or None
            if at in right:
                paragraph.alignment = 2
            if head:
                _shade(cell)


def _inline(text: str) -> list[tuple[str, bool, bool, bool]]:
    """Runs of a line of markdown: text, bold, italic, code."""
    from markdown_it import MarkdownIt

    [line] = MarkdownIt("commonmark").parseInline(" ".join(text.split()))
    found, bold, italic = [], False, False
    for token in line.children or ():
        kind = token.type
        if kind.startswith("strong_"):
            bold = kind.endswith("open")
        elif kind.startswith("em_"):
            italic = kind.endswith("open")
        elif token.content:
            plain = "".join(c if c.isspace() else one_line(c) for c in token.content)
            found.append((plain, bold, italic, kind == "code_inline"))
    return found


def _tag(name: str) -> str:
    from docx.oxml.ns import qn

    return qn(name)


def _element(name: str, **attributes: str) -> Any:
    from docx.oxml import OxmlElement

    made = OxmlElement(name)
    for key, value in attributes.items():
        made.set(_tag(f"w:{key}"), value)
    return made


def _field(paragraph: Any, code: str, shown: str, size: Any = None) -> None:
    """A field that Word counts itself; `shown` is what stands there until it does."""
    for kind in ("begin", "separate", "end"):
        run = paragraph.add_run()
        run.font.size = size
        run._r.append(_element("w:fldChar", fldCharType=kind))
        if kind == "begin":
            asked = paragraph.add_run()
            instruction = _element("w:instrText")
            instruction.text = f" {code} "
            asked._r.append(instruction)
        elif kind == "separate":
            paragraph.add_run(shown).font.size = size


def _borders(table: Any) -> None:
    """Thin rules between rows, none between columns; the table begins where the text does."""
    borders = _element("w:tblBorders")
    for side in ("top", "bottom", "insideH"):
        borders.append(_element(f"w:{side}", val="single", sz="4", space="0", color=_RULE))
    table._tbl.tblPr.append(_element("w:tblInd", w="100", type="dxa"))
    table._tbl.tblPr.append(borders)


def _whole(row: Any, *, repeated: bool) -> None:
    """A row is never split between pages; the head stands on each."""
    properties = row._tr.get_or_add_trPr()
    properties.append(_element("w:cantSplit"))
    if repeated:
        properties.append(_element("w:tblHeader"))


def _stays_with_next(number: int, rows: int) -> bool:
    """A short table stands on one page; of a long one no row is alone on a page."""
    last = number == rows - 1
    return not last and (rows <= _SHORT_TABLE or number < 2 or number == rows - 2)


def _keep_with_next(row: Any) -> None:
    for cell in row.cells:
        cell.paragraphs[0].paragraph_format.keep_with_next = True


def _shade(cell: Any) -> None:
    cell._tc.get_or_add_tcPr().append(_element("w:shd", val="clear", color="auto", fill=_SHADE))
