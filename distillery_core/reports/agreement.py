"""The agreement report: measured agreement as markdown."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from markupsafe import Markup

from distillery_core.agreement.measure import Agreement
from distillery_core.agreement.resampling import RESAMPLES, Estimate
from distillery_core.reports.formatting import NONE, fixed, signed
from distillery_core.reports.templates import render_file

TEMPLATE = Path(__file__).with_name("agreement.md.j2")


def render_agreement(
    found: Agreement, title: str, *, seen: int | None = None, resamples: int = RESAMPLES
) -> str:
    """Markdown of what was measured.

    Args:
        title: what was compared; untrusted text is fine.
        seen: articles there were, if only some of them were measured.
    """
    context = {
        "title": title,
        "found": found,
        "seen": seen or found.articles,
        "resamples": resamples,
        "paired": _by_dimension(found.paired, "rater"),
        "repeats": _by_dimension(found.repeats, "oracle"),
        "together": [
            {"dimension": name, **_cells(one)} for name, one in found.together.items()
        ],
    }  # fmt: skip
    return render_file(TEMPLATE, context)


def shown(estimate: Estimate, digits: int = 2, *, sign: bool = False) -> Markup:
    """`0.42 (0.36 to 0.48)`, `-` where it is not defined."""
    if not estimate.known:
        return Markup(NONE)  # noqa: S704  # a constant
    number = signed if sign else fixed
    value, low, high = (
        number(value, digits) for value in (estimate.value, estimate.low, estimate.high)
    )
    return Markup(f"{value} ({low} to {high})")  # noqa: S704  # digits and signs only


def _by_dimension(measured: Any, key: str) -> list[dict[str, Any]]:
    return [
        {"dimension": dimension, key: name, **_cells(one)}
        for dimension, by_name in measured.items()
        for name, one in by_name.items()
    ]


def _cells(measured: Any) -> dict[str, Any]:
    """A measured dataclass's fields; estimates as text, a bias with its sign."""
    values = {field.name: getattr(measured, field.name) for field in fields(measured)}
    return {
        name: shown(value, sign=name == "bias") if isinstance(value, Estimate) else value
        for name, value in values.items()
    }
