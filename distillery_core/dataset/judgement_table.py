"""Judgements as a CSV file that a spreadsheet program opens: out, filled in, and in again.

No cell can become a formula: one that starts like one is written with an apostrophe before it,
which is taken off again on the way in, so that a table that comes back unchanged changes nothing.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from distillery_core.dataset.classes import CLASSES
from distillery_core.dataset.judgements import Judgement, People, known_class, problems_of
from distillery_core.errors import UserError, UserErrors
from distillery_core.fence import normalised_key
from distillery_core.files import atomic_write, now_utc
from distillery_core.filters.text_view import TextView
from distillery_core.types import Article

FIXED = ("id", "title", "text", "class", "note", "name", "date", "text_key")
SCORE_PREFIX = "score_"
CELL_CHARS = 30_000
"""Longest text of a cell; spreadsheet programs cut at 32,767."""

_SHOWN_ERRORS = 50
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_PREFIXED = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Shown:
    """An article as people see it; `key` is the identity of its text."""

    article: Article
    view: TextView
    key: str


def write_table(
    path: Path, shown: Sequence[Shown], people: People, dimensions: Sequence[str]
) -> int:
    """Write a row for each judgement of these articles, and an empty one for those without.

    UTF-8 with a byte order mark, which spreadsheet programs want; every cell is quoted.

    Returns:
        Number of rows.
    """
    nobody: list[Judgement | None] = [None]
    by_text: dict[str, list[Judgement | None]] = {}
    for judgement in people.latest.values():
        by_text.setdefault(judgement.text_key, []).append(judgement)
    header = [*FIXED, *(f"{SCORE_PREFIX}{name}" for name in dimensions)]
    count = 0
    with atomic_write(path, "wb") as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        writer.writerow(header)
        for one in shown:
            for given in by_text.get(one.key, nobody):
                writer.writerow(map(harmless, _cells(one, given, dimensions)))
                count += 1
        text.flush()
        text.detach()
    return count


def _cells(one: Shown, judgement: Judgement | None, dimensions: Sequence[str]) -> Iterator[str]:
    yield from (one.article.id, one.view.title, one.view.content[:CELL_CHARS])
    if judgement is None:
        yield from ("", "", "", "", one.key, *("" for _ in dimensions))
        return
    yield from (judgement.class_name, judgement.note, judgement.name, judgement.date, one.key)
    for name in dimensions:
        yield f"{judgement.scores[name]:g}" if name in judgement.scores else ""


def harmless(cell: str) -> str:
    """The cell with an apostrophe before what a spreadsheet program would take for a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def as_it_was(cell: str) -> str:
    """The inverse of `harmless`."""
    return cell[1:] if _PREFIXED.match(cell) else cell


def read_table(
    path: Path, shown: Sequence[Shown], dimensions: Sequence[str], name: str | None = None
) -> list[Judgement]:
    """The judgements of a table; rows without class and scores are passed over.

    Args:
        shown: the articles that may be judged.
        name: whose judgements they are where the column `name` is empty.

    Raises:
        UserErrors: every mistake of the file with its line; nothing of it is then taken.
    """
    rows = _rows(path)
    header = [cell.strip().casefold() for cell in next(rows, (1, []))[1]]
    _check_header(path, header, dimensions)
    importer = _Importer({one.article.id: one for one in shown}, dimensions, name)
    errors: list[UserError] = []
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        try:
            if len(cells) != len(header):
                raise ValueError(f"{len(cells)} cells, the header has {len(header)}")
            importer.take(line, dict(zip(header, map(as_it_was, cells), strict=True)))
        except ValueError as error:
            errors.append(UserError(str(error), where=f"{path}:{line}"))
    if errors:
        further = len(errors) - _SHOWN_ERRORS
        more = [UserError(f"and {further} more mistakes", where=path)] if further > 0 else []
        raise UserErrors([*errors[:_SHOWN_ERRORS], *more])
    return list(importer.found.values())


class _Importer:
    """Turns rows into judgements, one a person and article."""

    def __init__(
        self, shown: Mapping[str, Shown], dimensions: Sequence[str], name: str | None
    ) -> None:
        self._shown, self._dimensions, self._name = shown, dimensions, name
        self._lines: dict[tuple[str, str], int] = {}
        self._now = now_utc()
        self.found: dict[tuple[str, str], Judgement] = {}

    def take(self, line: int, row: Mapping[str, str]) -> None:
        """Add a row (ValueError: all that is wrong with it)."""
        scores = self._scores(row)
        word = row["class"].strip()
        if not word and not scores:
            return
        one = self._article(row)
        class_name = known_class(word)
        if class_name is None:
            raise ValueError(f"class is {word!r:.40}, not one of {', '.join(CLASSES)}")
        name = row.get("name", "").strip() or self._name
        if not name:
            raise ValueError("nobody is named as having judged this")
        try:
            judgement = Judgement(
                id=one.article.id,
                text_key=one.key,
                title=one.view.title,
                class_name=class_name,
                scores=scores,
                name=name,
                date=row.get("date", "").strip() or self._now,
                note=row.get("note", ""),
            )
        except ValidationError as error:
            raise ValueError(problems_of(error)) from None
        self._add(line, judgement)

    def _article(self, row: Mapping[str, str]) -> Shown:
        one = self._shown.get(row["id"].strip())
        if one is None:
            raise ValueError(f"no article {row['id']!r:.40} in this sample")
        if row.get("text_key", "").strip() not in ("", one.key):
            raise ValueError(f"the text of {one.article.id} is another one than was judged")
        return one

    def _scores(self, row: Mapping[str, str]) -> dict[str, float]:
        found, wrong = {}, []
        for name in self._dimensions:
            cell = row.get(f"{SCORE_PREFIX}{name}".casefold(), "").strip()
            if not cell:
                continue
            try:
                found[name] = score(cell)
            except ValueError as error:
                wrong.append(f"{name}: {error}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return found

    def _add(self, line: int, judgement: Judgement) -> None:
        whose = (judgement.text_key, judgement.name)
        before = self.found.setdefault(whose, judgement)
        if not judgement.same_as(before):
            first = self._lines[whose]
            raise ValueError(f"{judgement.name} judged {judgement.id} otherwise on line {first}")
        self._lines.setdefault(whose, line)


def score(word: str) -> float:
    """A score as people write it, with a decimal point or comma.

    Raises:
        ValueError: no number from 0 to 10.
    """
    try:
        value = float(word.strip().replace(",", "."))
    except ValueError:
        raise ValueError(f"{word!r:.40} is no number") from None
    if not 0 <= value <= 10:
        raise ValueError(f"{word!r:.40} is not from 0 to 10")
    return value


def _check_header(path: Path, header: Sequence[str], dimensions: Sequence[str]) -> None:
    wanted = {*FIXED, *(f"{SCORE_PREFIX}{name}".casefold() for name in dimensions)}
    missing = [name for name in ("id", "class") if name not in header]
    errors = [UserError(f"has no column {name}", where=f"{path}:1") for name in missing]
    scores = (name for name in header if name.startswith(SCORE_PREFIX))
    errors += [
        UserError(f"column {name!r:.60}: no such dimension", where=f"{path}:1")
        for name in scores
        if name not in wanted
    ]
    twice = sorted({name for name in header if name in wanted and header.count(name) > 1})
    errors += [UserError(f"column {name} stands there twice", where=f"{path}:1") for name in twice]
    if errors:
        raise UserErrors(errors)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows with the line they begin on; commas, semicolons or tabs between the cells."""
    text = _read(path)
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 0
    try:
        for cells in reader:
            yield line + 1, cells
            line = reader.line_num
    except csv.Error as error:
        raise UserError(f"not CSV: {error}", where=f"{path}:{reader.line_num}") from None


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=path) from None
    except UnicodeDecodeError:
        hint = "save it as CSV UTF-8 in the spreadsheet program"
        raise UserError("is not UTF-8", where=path, hint=hint) from None


def shown_article(article: Article, view: TextView) -> Shown:
    """An article with its view and the identity of its text."""
    return Shown(article, view, normalised_key(article.content))
