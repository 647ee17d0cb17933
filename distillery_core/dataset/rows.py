"""Rows of JSONL files: articles, labelled articles and training examples, streamed.

A bad row never stops a run and never takes a good one with it: it goes to `Rejects` with its line
number and reason. What makes the whole file useless (missing, a folder, not gzip, no usable row)
is a UserError. Memory does not grow with the file but for 8 bytes a row to find duplicate ids.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

from distillery_core.dataset.labels import LabelProblem, read_label
from distillery_core.dataset.lines import MAX_LINE_BYTES, Line, check_input, read_lines
from distillery_core.dataset.rejects import Kind, Rejects
from distillery_core.dataset.seen import SeenKeys
from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.types import Article

Value = TypeVar("Value")


class NumberedArticle(NamedTuple):
    """An article and the 1-based line it came from."""

    line: int
    article: Article


@dataclass(frozen=True, slots=True)
class LabelledArticle:
    """An article with its label.

    `scores` follow the filter's dimensions, each in [0, 10]. `article.extra` does not hold the
    analysis. `provenance` is empty where the label does not say who gave it.
    """

    line: int
    article: Article
    scores: tuple[float, ...]
    reasoning: str | None
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Example:
    """One row of train.jsonl, val.jsonl or test.jsonl.

    `labels` are in [0, 10] in the order of `dimension_names`. `source` and `sample_class` are the
    article's, where known; `group` is equal for texts that are identical or nearly so.
    """

    id: str
    title: str
    content: str
    labels: tuple[float, ...]
    dimension_names: tuple[str, ...]
    source: str | None = None
    sample_class: str | None = None
    group: str | None = None


class _RowProblem(ValueError):
    """Why a row cannot be used."""

    def __init__(self, kind: Kind, reason: str, id: str | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.id = id


def read_articles(path: Path, rejects: Rejects) -> Iterator[Article]:
    """Stream a file's articles; bad rows go to `rejects`.

    The file is looked at when this is called, the rows are read as they are asked for.

    Raises:
        UserError: the file cannot be read, or no row of it is usable.
    """
    rows = numbered_articles(path, rejects)
    return (row.article for row in rows)


def numbered_articles(path: Path, rejects: Rejects) -> Iterator[NumberedArticle]:
    """As `read_articles`, each article with its line number."""
    check_input(path)
    return _at_least_one(_articles(path, rejects), path, rejects)


def read_labelled(path: Path, filter: Filter, rejects: Rejects) -> Iterator[LabelledArticle]:
    """Stream a file's labelled articles; rows with a bad or incomplete label go to `rejects`.

    Accepted are `<filter>_analysis` with `{"dimensions": {name: score}}`, with the scores beside
    `reasoning` and `provenance`, and with `{name: {"score": 7, "reasoning": ...}}`.

    Raises:
        UserError: the file cannot be read, or no row of it is usable.
    """
    check_input(path)
    return _at_least_one(_labelled(path, filter, rejects), path, rejects)


def read_examples(path: Path) -> list[Example]:
    """All rows of a split in memory.

    Raises:
        UserError: at the first row that is not in the training format, with its line.
    """
    return [_example(line, path) for line in read_lines(path)]


def _articles(path: Path, rejects: Rejects) -> Iterator[NumberedArticle]:
    seen = SeenKeys()
    for line in read_lines(path):
        rejects.saw()
        try:
            article = _article(parse_line(line))
            _refuse_seen(article, seen)
        except _RowProblem as problem:
            _set_aside(rejects, line, problem)
            continue
        yield NumberedArticle(line.number, article)


def _labelled(path: Path, filter: Filter, rejects: Rejects) -> Iterator[LabelledArticle]:
    for number, article in _articles(path, rejects):
        try:
            label = read_label(article.extra, filter)
        except LabelProblem as problem:
            rejects.add(number, str(problem), kind=problem.kind, id=article.id)
            continue
        extra = {k: v for k, v in article.extra.items() if k != filter.analysis_key}
        bare = Article(article.id, article.title, article.content, extra)
        yield LabelledArticle(number, bare, label.scores, label.reasoning, label.provenance)


def _at_least_one(values: Iterator[Value], path: Path, rejects: Rejects) -> Iterator[Value]:
    found = False
    for value in values:
        found = True
        yield value
    if not found:
        why = f": {rejects.summary()}" if rejects.rejected else ""
        raise UserError(
            f"no usable row among {rejects.read}{why}",
            where=path,
            hint='a row is one JSON object a line: {"id": "...", "title": "...", "content": "..."}',
        )


def _set_aside(rejects: Rejects, line: Line, problem: _RowProblem) -> None:
    raw = line.data.decode("utf-8", "replace")
    rejects.add(line.number, str(problem), kind=problem.kind, id=problem.id, raw=raw)


def parse_line(line: Line) -> dict[str, Any]:
    """The JSON object of a line.

    Raises:
        ValueError: too long, not UTF-8, not strict JSON, not an object, half a surrogate pair.
    """
    if line.too_long:
        raise _RowProblem(Kind.TOO_LONG, f"longer than {MAX_LINE_BYTES // 1_000_000} MB")
    try:
        text = line.data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _RowProblem(Kind.BAD_UTF8, f"not UTF-8 at byte {error.start}") from None
    try:
        value = _DECODER.decode(text)
    except _RowProblem:
        raise
    except RecursionError:
        raise _RowProblem(Kind.BAD_JSON, "nested too deeply") from None
    except ValueError as error:
        raise _RowProblem(Kind.BAD_JSON, f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise _RowProblem(Kind.BAD_JSON, f"an object is needed, not {type(value).__name__}")
    if "\\ud" in text or "\\uD" in text:
        _refuse_half_characters(value)
    return value


def _refuse_half_characters(value: dict[str, Any]) -> None:
    """Half of a surrogate pair can be written in JSON, but not in UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise _RowProblem(Kind.BAD_UTF8, "holds half of a surrogate pair") from None


def _refuse_constant(name: str) -> NoReturn:
    raise _RowProblem(Kind.NOT_FINITE, f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _RowProblem(Kind.NOT_FINITE, f"{text:.40} is too large for a number")
    return value


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _article(row: dict[str, Any]) -> Article:
    name = _id(row.pop("id", None))
    title, content = row.pop("title", None), row.pop("content", None)
    if title is None:
        title = ""
    if not isinstance(title, str):
        raise _RowProblem(Kind.BAD_FIELD, "title is not a text", name)
    if content is None or (isinstance(content, str) and not content.strip()):
        raise _RowProblem(Kind.EMPTY_CONTENT, "content is missing or empty", name)
    if not isinstance(content, str):
        raise _RowProblem(Kind.BAD_FIELD, "content is not a text", name)
    return Article(name, title, content, row)


def _id(value: Any) -> str:
    """Ids are texts; whole numbers are taken as such."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or value == "":
        raise _RowProblem(Kind.BAD_ID, "id is missing")
    if not isinstance(value, str) or not value.strip():
        raise _RowProblem(Kind.BAD_ID, f"id is not a text: {value!r:.40}")
    return value


def _refuse_seen(article: Article, seen: SeenKeys) -> None:
    digest = blake2b(article.id.encode(), digest_size=8).digest()
    if not seen.add(int.from_bytes(digest, "little")):
        raise _RowProblem(Kind.DUPLICATE_ID, "this id stood on an earlier line", article.id)


def _example(line: Line, path: Path) -> Example:
    try:
        row = parse_line(line)
        labels = tuple(float(value) for value in row["labels"])
        names = tuple(row["dimension_names"])
        if len(labels) != len(names):
            raise ValueError(f"{len(labels)} labels for {len(names)} dimension names")
        known = ("source", "class", "group")
        source, sample_class, group = (row.get(key) for key in known)
        return Example(
            row["id"], row["title"], row["content"], labels, names, source, sample_class, group
        )
    except (KeyError, TypeError, ValueError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        hint = "`distillery prepare` writes this file"
        where = f"{path}:{line.number}"
        raise UserError(f"not a training example: {what}", where=where, hint=hint) from None
