"""The HTML view of a filter's reports: one page that holds everything and fetches nothing.

A Content-Security-Policy allows exactly this page's own style and script, by their hashes, and
images that lie in the page itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from distillery_core.reports import formatting
from distillery_core.reports.html import GLYPHS, to_html
from distillery_core.reports.record import LevelName, Record
from distillery_core.reports.svg import (
    course_of_training,
    errors_by_dimension,
    predictions_against_labels,
    scores_that_mean_what_they_say,
)
from distillery_core.reports.views import (
    Points,
    dimensions_of,
    epochs_of,
    points_of,
    reliability_of,
)

_HERE = Path(__file__).parent
_IMAGES = {".png": "image/png", ".svg": "image/svg+xml"}
_MAX_IMAGE_BYTES = 5_000_000
MAX_LISTED = 500
"""Test articles listed in the page, those with the largest error first."""


@dataclass(frozen=True)
class Shown:
    """One report on the page.

    Attributes:
        name: what it is, e.g. "Model evaluation".
        path: the report's file, whose folder holds its plots.
        level, word: of the verdict decided today; None where the report is not whole.
        deciding: the line that decided, with its reason.
        open: whether it lets the work go on.
        gate: why, or why not, line by line.
        command: what to run next.
        body: the markdown; empty where the report is not whole.
        record: what it was rendered from; None for a report from before there were records.
    """

    name: str
    path: Path
    level: LevelName | None
    word: str
    deciding: str
    open: bool
    gate: tuple[str, ...]
    command: str = ""
    body: str = ""
    record: Record | None = None
    points: Points | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", points_of(self.record) if self.record else None)

    @property
    def anchor(self) -> str:
        """Where the page's own links lead."""
        return self.path.stem

    @property
    def mark(self) -> str:
        """The verdict's mark."""
        return GLYPHS[self.level] if self.level else "?"

    @property
    def html(self) -> Markup:
        """The body with its plots."""
        return to_html(self.body, _figures(self))

    @property
    def articles(self) -> list[dict[str, Any]]:
        """The test articles as rows, the largest mean error first."""
        if self.points is None:
            return []
        return _articles(self.points)[:MAX_LISTED]


def render_page(filter: str, reports: Sequence[Shown]) -> str:
    """The whole page; the same reports give the same bytes.

    Args:
        filter: the filter's label, e.g. `crisis:v1`.
        reports: in the order they are shown.
    """
    style, script = _asset("page.css"), _asset("page.js")
    text: str = (
        _environment()
        .get_template("page.html.j2")
        .render(
            filter=filter,
            reports=reports,
            style=Markup(style),  # noqa: S704  # our own file
            script=Markup(script),  # noqa: S704  # our own file
            policy=_policy(style, script),
            data=_data(reports),
        )
    )
    return text


def _policy(style: str, script: str) -> str:
    return (
        "default-src 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"sha256-{digest}"


@cache
def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _environment() -> Any:
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["fixed"] = formatting.fixed
    made.filters["signed"] = formatting.signed
    return made


def _data(reports: Sequence[Shown]) -> Markup:
    """What the script tells about a point, as JSON that cannot end its own element."""
    points = next((one.points for one in reports if one.points is not None), None)
    value = {
        "names": [points.name(at) for at in range(len(points))] if points else [],
        "labels": points.labels if points else [],
        "predictions": points.predictions if points else [],
    }
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  # nothing in it is read as HTML


def _articles(points: Points) -> list[dict[str, Any]]:
    rows = [
        {
            "at": at,
            "name": points.name(at),
            "labelled": points.labelled[at],
            "predicted": points.predicted[at],
            "difference": points.predicted[at] - points.labelled[at],
            "error": points.errors[at],
        }
        for at in range(len(points))
    ]
    return sorted(rows, key=lambda row: (-row["error"], row["at"]))


def _figures(shown: Shown) -> Mapping[str, Markup]:
    """What stands in the place of each image beside the report, by its address there."""
    folder = shown.path.parent
    found = {}
    for path in sorted(folder.glob("*/*")):
        if path.suffix in _IMAGES and path.is_file():
            drawn = _drawn(path.stem, shown) or _embedded(path)
            found[path.relative_to(folder).as_posix()] = drawn
    return found


def _drawn(name: str, shown: Shown) -> Markup | None:
    """A plot drawn anew from the record, which follows the page's colours and can be pointed at."""
    if shown.record is None:
        return None
    if name == "predicted_vs_labelled" and shown.points is not None:
        maes = {one.name: one.mae for one in dimensions_of(shown.record)}
        return predictions_against_labels(shown.points, maes)
    if name == "per_dimension_mae" and dimensions_of(shown.record):
        return errors_by_dimension(dimensions_of(shown.record))
    if name == "epochs" and epochs_of(shown.record):
        return course_of_training(epochs_of(shown.record))
    if name == "reliability" and reliability_of(shown.record):
        return scores_that_mean_what_they_say(reliability_of(shown.record))
    return None


def _embedded(path: Path) -> Markup:
    """The file itself inside the page; in an image element nothing of an SVG can run."""
    words = path.stem.replace("_", " ")
    if path.stat().st_size > _MAX_IMAGE_BYTES:
        return Markup("<p>[{}: too large to show]</p>").format(words)
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return Markup(
        '<figure class="plot paper"><img alt="{}" src="data:{};base64,{}"></figure>'
    ).format(words, _IMAGES[path.suffix], data)
