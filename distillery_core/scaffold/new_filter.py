"""Writes a new filter's folder: it loads as it is, and its comments say what to fill in."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template

from distillery_core.errors import UserError
from distillery_core.files import write_text
from distillery_core.filters import Filter, load_filter

_TEMPLATES = Path(__file__).parent / "templates" / "filter"
_FILES = ("config.yaml", "prompt.md.j2", "prefilter.yaml", "README.md", "cases.yaml")

DEFAULT_DIMENSIONS = ("relevance", "evidence", "impact")
MINIMUM_DIMENSIONS = 2
"""The calibration table looks at the variance across dimensions; one dimension has none."""


def new_filter(project: Path, name: str, dimensions: Sequence[str] = DEFAULT_DIMENSIONS) -> Filter:
    """Write `filters/<name>/v1` and load it back.

    Raises:
        UserError: the name or a dimension is no lower-case identifier, there are too few
            dimensions, or the folder exists (nothing is ever overwritten).
    """
    _check(name, dimensions)
    folder = project / "filters" / name / "v1"
    if folder.parent.exists():
        raise UserError(
            "exists already, nothing is overwritten",
            where=folder.parent,
            hint=f"edit it, or choose another name than {name!r}",
        )
    for file in _FILES:
        write_text(folder / file, _filled(file, name, dimensions))
    return load_filter(folder)


def _check(name: str, dimensions: Sequence[str]) -> None:
    for word in (name, *dimensions):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", word) or keyword.iskeyword(word):
            suggestion = re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_")
            usable = re.fullmatch(r"[a-z][a-z0-9_]*", suggestion)
            raise UserError(
                f"{word!r} is not a lower-case identifier (a-z, 0-9, _, a letter first)",
                hint=f"{suggestion!r} would do" if usable and suggestion != word else None,
            )
    if "reasoning" in dimensions:
        raise UserError("'reasoning' is the answer's own key", where="--dimensions")
    if len(set(dimensions)) < len(dimensions):
        raise UserError("a dimension is given twice", where="--dimensions")
    if len(dimensions) < MINIMUM_DIMENSIONS:
        raise UserError(
            f"at least {MINIMUM_DIMENSIONS} dimensions are needed", where="--dimensions"
        )


def _filled(file: str, name: str, dimensions: Sequence[str]) -> str:
    text = (_TEMPLATES / file).read_text(encoding="utf-8")
    values = {
        "name": name,
        "dimensions": _dimensions(dimensions),
        "scores": ", ".join(f"{dimension}: 8" for dimension in dimensions),
    }
    return Template(text).safe_substitute(values)


def _dimensions(names: Sequence[str]) -> str:
    """The `dimensions:` block, hundredths shared out so that the weights sum to exactly 1."""
    block = (_TEMPLATES / "dimension.yaml").read_text(encoding="utf-8")
    each, left = divmod(100, len(names))
    filled = (
        Template(block).substitute(name=name, weight=f"{(each + (index < left)) / 100:.2f}")
        for index, name in enumerate(names)
    )
    return "".join(filled).rstrip("\n")
