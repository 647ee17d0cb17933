"""Agreement of oracles, people and repeats: from labelled files or a table to a report."""

from __future__ import annotations

import csv
import io
import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery_core.agreement import Agreement, Rater, Ratings, measure
from distillery_core.agreement.combining import Aggregate
from distillery_core.agreement.noise_floor import NoiseFloor, noise_floor
from distillery_core.agreement.ratings import ratings_of
from distillery_core.dataset.answers import Chosen, answers_in, scores_of, single_answers
from distillery_core.dataset.lines import read_lines
from distillery_core.dataset.rejects import Rejects
from distillery_core.dataset.rows import read_labelled
from distillery_core.errors import UserError
from distillery_core.files import write_json, write_text
from distillery_core.filters import Filter
from distillery_core.reports.agreement import render_agreement

_KEYS = ("id", "rater")
_TABLE_HINT = (
    "a row is an article's id, a rater and a score for each dimension: CSV with columns id, rater, "
    'harm ... or JSONL {"id": "1", "rater": "ana", "scores": {"harm": 3}}'
)


@dataclass(frozen=True, slots=True)
class Compared:
    """Measured agreement and what it was measured on."""

    title: str
    agreement: Agreement
    seen: int

    def markdown(self) -> str:
        """The report."""
        return render_agreement(self.agreement, self.title, seen=self.seen)

    def to_json(self) -> dict[str, Any]:
        """The numbers."""
        return {"title": self.title, "articles_seen": self.seen} | self.agreement.to_json()


def compare_files(
    files: Sequence[Path],
    filter: Filter | None,
    *,
    reference: str | None = None,
    aggregate: Aggregate | None = None,
) -> Compared:
    """Measure agreement of what stands in files.

    Two or more labelled files of the same articles (each file is a rater); one labelled file whose
    labels list their single answers; or one table of ratings, CSV or JSONL.

    Args:
        filter: whose labels they are; None for a table of ratings with dimensions of its own.
        reference: the rater that the others are compared with.

    Raises:
        UserError: a file cannot be used, fewer than two raters, no such reference.
    """
    ratings, seen, combined = _read(files, filter)
    chosen = aggregate or combined or (filter.config.oracle.aggregate if filter else "median")
    title = ", ".join(path.name for path in files)
    if len(ratings.raters) < 2:
        hint = "name a second file of the same articles, or label with --repeats or --oracles"
        raise UserError("agreement needs two raters or more", where=files[0], hint=hint)
    try:
        return Compared(title, measure(ratings, reference=reference, aggregate=chosen), seen)
    except ValueError as error:
        raise UserError(str(error), hint="--reference names a rater as the report does") from None


def report_on_labels(output: Path, filter: Filter) -> tuple[Path, Path] | None:
    """Write `<output>.agreement.md` and `.json` beside a file of combined labels.

    Returns:
        Both paths; None where no label names two raters' answers, and old reports are removed.
    """
    paths = tuple(output.with_name(f"{output.name}.agreement.{kind}") for kind in ("md", "json"))
    found = _answers(output, filter)
    if found is None or len(found[0].raters) < 2:
        for path in paths:
            path.unlink(missing_ok=True)
        return None
    ratings, seen, aggregate = found
    compared = Compared(output.name, measure(ratings, aggregate=aggregate), seen)
    write_text(paths[0], compared.markdown())
    write_json(paths[1], compared.to_json())
    return paths[0], paths[1]


def labels_noise(labelled: Path, filter: Filter) -> NoiseFloor | None:
    """The noise floor of combined labels from the answers they list.

    Returns:
        None where the first label names no answers: one run makes all of a file alike.
    """
    try:
        if single_answers(_first_provenance(labelled, filter)) is None:
            return None
    except UserError:  # no usable row: whoever reads the labels says so
        return None
    found = _answers(labelled, filter)
    return noise_floor(found[0], found[2]) if found else None


def _read(files: Sequence[Path], filter: Filter | None) -> tuple[Ratings, int, Aggregate | None]:
    if len(files) == 1:
        found = _answers(files[0], filter) if filter and _is_labelled(files[0], filter) else None
        return found or (*_table(files[0], filter), None)
    if filter is None:
        raise UserError("labelled files need --filter", where=files[0])
    return (*_labelled(files, filter), None)


def _is_labelled(path: Path, filter: Filter) -> bool:
    """Whether a file's first row carries this filter's analysis."""
    first = next(read_lines(path), None)
    return first is not None and filter.analysis_key.encode() in first.data


def _answers(path: Path, filter: Filter) -> tuple[Ratings, int, Aggregate] | None:
    with tempfile.TemporaryDirectory() as scratch, Rejects(Path(scratch) / "rows") as rejects:
        return answers_in(path, filter, rejects)


def _labelled(files: Sequence[Path], filter: Filter) -> tuple[Ratings, int]:
    """Each file a rater; an article counts if two files or more have it."""
    chosen, most = Chosen(), 0
    for path, rater in zip(files, _raters(files, filter), strict=True):
        rows = 0
        for rows, (id, scores) in enumerate(_scores_in(path, filter), 1):  # noqa: B007
            chosen.add(id, {rater: scores})
        most = max(most, rows)
    shared = {id: given for id, given in chosen.answers.items() if len(given) >= 2}
    if not shared:
        names = ", ".join(path.name for path in files)
        hint = "name files of the same articles"
        raise UserError(f"{names} have no article in common", where=files[0], hint=hint)
    whole = len(chosen.answers) == most  # nobody was left out: articles of one file only count not
    return ratings_of(shared, filter.dimensions), len(shared) if whole else most


def _scores_in(path: Path, filter: Filter) -> Iterator[tuple[str, dict[str, float]]]:
    with tempfile.TemporaryDirectory() as scratch, Rejects(Path(scratch) / "rows") as rejects:
        for row in read_labelled(path, filter, rejects):
            yield row.article.id, scores_of(row, filter.dimensions)


def _raters(files: Sequence[Path], filter: Filter) -> list[Rater]:
    """Each file's oracle; where that does not tell the files apart, their names."""
    oracles = [_oracle_of(path, filter) for path in files]
    if None not in oracles and len(set(oracles)) == len(files):
        return [Rater(str(name)) for name in oracles]
    names = [path.name for path in files]
    told = names if len(set(names)) == len(files) else [str(path) for path in files]
    return [Rater(name) for name in told]


def _oracle_of(path: Path, filter: Filter) -> str | None:
    name = _first_provenance(path, filter).get("oracle")
    return name if isinstance(name, str) and name else None


def _first_provenance(path: Path, filter: Filter) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory() as scratch, Rejects(Path(scratch) / "rows") as rejects:
        return next(read_labelled(path, filter, rejects)).provenance


def _table(path: Path, filter: Filter | None) -> tuple[Ratings, int]:
    answers: dict[str, dict[Rater, Mapping[str, float]]] = {}
    dimensions: tuple[str, ...] = filter.dimensions if filter else ()
    for line, row in _rows(path):
        id, rater, scores = _rating(row, f"{path}:{line}")
        dimensions = dimensions or tuple(scores)
        if set(scores) - set(dimensions):
            unknown = ", ".join(sorted(set(scores) - set(dimensions)))
            raise UserError(f"unknown dimensions: {unknown}", f"{path}:{line}", _TABLE_HINT)
        if rater in answers.setdefault(id, {}):
            what = f"{rater.oracle!r} has rated {id!r} on an earlier line"
            raise UserError(what, f"{path}:{line}", "repeats are told apart by `repeat`: 1, 2 ...")
        answers[id][rater] = scores
    if not answers:
        raise UserError("holds no ratings", where=path, hint=_TABLE_HINT)
    return ratings_of(answers, dimensions), len(answers)


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    lines = ((line.number, line.data.decode("utf-8", "replace")) for line in read_lines(path))
    if path.name.removesuffix(".gz").endswith(".csv"):
        yield from _csv_rows(lines, path)
        return
    for number, text in lines:
        try:
            row = json.loads(text)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise UserError("not a rating", where=f"{path}:{number}", hint=_TABLE_HINT)
        scores = row.pop("scores", None)
        yield number, row | scores if isinstance(scores, dict) else row


def _csv_rows(
    lines: Iterable[tuple[int, str]], path: Path
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    header: list[str] | None = None
    for number, text in lines:
        cells = next(csv.reader(io.StringIO(text)))
        if header is None:
            header = [cell.strip() for cell in cells]
            continue
        if len(cells) != len(header):
            what = f"{len(cells)} cells for {len(header)} columns"
            raise UserError(what, where=f"{path}:{number}", hint=_TABLE_HINT)
        yield number, dict(zip(header, cells, strict=True))


def _rating(row: Mapping[str, Any], where: str) -> tuple[str, Rater, dict[str, float]]:
    """One row: who rated what, and how; an empty score is a missing one."""
    missing = [key for key in _KEYS if row.get(key) is None or not str(row[key]).strip()]
    if missing:
        raise UserError(f"{' and '.join(missing)} missing", where=where, hint=_TABLE_HINT)
    try:
        repeat = int(row.get("repeat") or 1)
        scores = {
            str(key): float(value)
            for key, value in row.items()
            if key not in (*_KEYS, "repeat") and value not in (None, "")
        }
    except (TypeError, ValueError) as error:
        raise UserError(f"not a number: {error}", where=where, hint=_TABLE_HINT) from None
    if not all(map(math.isfinite, scores.values())):
        raise UserError("a finite score is needed", where=where, hint=_TABLE_HINT)
    return str(row["id"]), Rater(str(row["rater"]), max(repeat, 1)), scores
