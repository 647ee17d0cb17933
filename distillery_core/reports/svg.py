"""Plots of a record as SVG inside a page: colours come from its style sheet, light or dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from distillery_core.reports.formatting import fixed
from distillery_core.reports.views import DimensionErrors, Epoch, Points, ReliabilityBin
from distillery_core.types import SCORE_MAX

MAX_DRAWN = 600
"""Articles drawn in a panel; of more, every second, third ... is drawn."""

_SIDE, _LEFT, _TOP, _PLOT = 220, 26, 8, 186
_GOLDEN = 0.618033988749895
_JITTER = 0.3


def predictions_against_labels(points: Points, maes: Mapping[str, float]) -> Markup:
    """One panel a dimension: labels on x (spread a little), predictions on y.

    Args:
        maes: the MAE of each dimension as the report has it, not measured again from the plot.
    """
    step = -(-len(points) // MAX_DRAWN) or 1
    drawn = range(0, len(points), step)
    panels = Markup("").join(
        _panel(points, at, drawn, maes) for at in range(len(points.dimensions))
    )
    told = f"{len(drawn)} of {len(points)} test articles" if step > 1 else "All test articles"
    return Markup(
        '<figure class="plot"><div class="panels">{}</div>'
        '<figcaption><span class="tip" aria-live="polite">{}: label (across) and prediction (up), '
        "0 to 10; on the line they agree. Point at one to see which article it is.</span>"
        "</figcaption></figure>"
    ).format(panels, told)


def _panel(points: Points, at: int, drawn: Sequence[int], maes: Mapping[str, float]) -> Markup:
    name = points.dimensions[at]
    dots = Markup("").join(
        Markup('<circle class="pt" data-a="{}" cx="{}" cy="{}" r="3.4"/>').format(
            i, _x(points.labels[i][at] + _spread(i)), _y(points.predictions[i][at])
        )
        for i in drawn
    )
    return Markup(
        '<svg class="panel" viewBox="0 0 {side} {height}" role="img" aria-label="{name}: '
        'predictions against labels of {n} test articles, mean absolute error {mae}" data-d="{at}">'
        "{grid}{dots}"
        '<text class="name" x="{left}" y="{below}">{name} <tspan class="soft">MAE {mae}</tspan>'
        "</text></svg>"
    ).format(
        side=_SIDE,
        name=name,
        n=len(points),
        mae=fixed(maes.get(name)),
        height=_SIDE + 8,
        at=at,
        grid=_grid(),
        dots=dots,
        left=_LEFT,
        below=_SIDE + 3,
    )


def scores_that_mean_what_they_say(bins: Sequence[ReliabilityBin]) -> Markup:
    """Mean label against mean prediction by band of prediction; on the diagonal they agree."""
    known = [
        (_x(one.predicted), _y(one.labelled), one.n)
        for one in bins
        if one.predicted is not None and one.labelled is not None
    ]
    path = " ".join(f"{'L' if at else 'M'}{x} {y}" for at, (x, y, _) in enumerate(known))
    dots = "".join(
        f'<circle class="own" cx="{x}" cy="{y}" r="4"/>'
        f'<text class="tick" x="{x + 7}" y="{y + 12}">{n}</text>'
        for x, y, n in known
    )
    return Markup(
        '<figure class="plot"><div class="panels"><svg class="panel" viewBox="0 0 {} {}" '
        'role="img" aria-label="Mean label against mean prediction by band; the numbers stand in '
        'the table">{}<path class="line own" d="{}"/>{}</svg></div><figcaption>Mean prediction '
        "(across) and mean label (up) by band, with the number of scores; on the line a score "
        "means what it says.</figcaption></figure>"
    ).format(_SIDE, _SIDE + 8, _grid(), path, Markup(dots))  # noqa: S704  # numbers only


def _grid() -> Markup:
    lines = []
    for tick in (0, 5, 10):
        x, y = _x(tick), _y(tick)
        lines += [
            f'<path class="grid" d="M{x} {_y(0)}V{_y(SCORE_MAX)}M{_x(0)} {y}H{_x(SCORE_MAX)}"/>',
            f'<text class="tick" x="{_x(0) - 5}" y="{y + 3}" text-anchor="end">{tick}</text>',
            f'<text class="tick" x="{x}" y="{_y(0) + 12}" text-anchor="middle">{tick}</text>',
        ]
    diagonal = f'<path class="agree" d="M{_x(0)} {_y(0)}L{_x(SCORE_MAX)} {_y(SCORE_MAX)}"/>'
    return Markup("".join([*lines, diagonal]))  # noqa: S704  # numbers only


def _x(value: float) -> float:
    return round(_LEFT + _clipped(value) / SCORE_MAX * _PLOT, 1)


def _y(value: float) -> float:
    return round(_TOP + (1 - _clipped(value) / SCORE_MAX) * _PLOT, 1)


def _clipped(value: float) -> float:
    return min(max(value, -0.3), SCORE_MAX + 0.3)


def _spread(at: int) -> float:
    """Labels are often whole or half points: a shift that is the same every time parts them."""
    return ((at * _GOLDEN) % 1 - 0.5) * _JITTER


_ROW, _BAR_WIDTH = 56, 350


def errors_by_dimension(dimensions: Sequence[DimensionErrors]) -> Markup:
    """Bars: MAE of the student and of two baselines, a group a dimension."""
    largest = max(max(one.mae, one.tfidf_mae, one.constant_mae) for one in dimensions) or 1.0
    rows = Markup("").join(_bars(one, row, largest) for row, one in enumerate(dimensions))
    height = _ROW * len(dimensions) + 4
    return Markup(
        '<figure class="plot"><svg class="wide" viewBox="0 0 400 {height}" role="img" '
        'aria-label="Mean absolute error per dimension of this model, TF-IDF + ridge and a '
        'constant; the numbers stand in the table">{rows}</svg><figcaption class="keys">'
        '<span class="key own">this model</span><span class="key tfidf">TF-IDF + ridge</span>'
        '<span class="key constant">constant</span> mean absolute error</figcaption></figure>'
    ).format(height=height, rows=rows)


def _bars(one: DimensionErrors, row: int, largest: float) -> Markup:
    top = row * _ROW + 4
    values = (("own", one.mae), ("tfidf", one.tfidf_mae), ("constant", one.constant_mae))
    bars = Markup("").join(
        Markup(
            '<rect class="{}" x="{}" y="{}" width="{}" height="9" rx="1.5"/>'
            '<text class="tick" x="{}" y="{}">{}</text>'
        ).format(
            kind,
            0,
            top + 17 + at * 11,
            round(value / largest * _BAR_WIDTH, 1),
            round(value / largest * _BAR_WIDTH + 5, 1),
            top + 17 + at * 11 + 8,
            fixed(value),
        )
        for at, (kind, value) in enumerate(values)
    )
    return Markup('<text class="name" x="0" y="{}">{}</text>{}').format(top + 12, one.name, bars)


_WIDE, _HIGH = 400, 190


def course_of_training(epochs: Sequence[Epoch]) -> Markup:
    """Lines: train and validation MAE by epoch, the kept one marked."""
    largest = max(max(one.train_mae, one.val_mae) for one in epochs) or 1.0
    kept = next((one.number for one in epochs if one.kept), None)
    lines = Markup("").join(
        _line(kind, [getattr(one, name) for one in epochs], largest)
        for kind, name in (("constant", "train_mae"), ("own", "val_mae"))
    )
    ticks = Markup("").join(
        Markup('<text class="tick" x="{}" y="184" text-anchor="middle">{}</text>').format(
            _across(at, len(epochs)), one.number
        )
        for at, one in enumerate(epochs)
        if len(epochs) <= 20 or at % (len(epochs) // 10) == 0
    )
    return Markup(
        '<figure class="plot"><svg class="wide" viewBox="0 0 {} {}" role="img" aria-label="Train '
        'and validation error by epoch; the numbers stand in the table">{}{}{}{}</svg>'
        '<figcaption class="keys"><span class="key constant">train</span>'
        '<span class="key own">validation</span>mean absolute error by epoch{}</figcaption>'
        "</figure>"
    ).format(
        _WIDE,
        _HIGH,
        _levels(largest),
        _kept(epochs),
        lines,
        ticks,
        f"; epoch {kept} was kept" if kept and len(epochs) > 1 else "",
    )


def _line(kind: str, values: Sequence[float], largest: float) -> Markup:
    places = [(_across(at, len(values)), _up(value, largest)) for at, value in enumerate(values)]
    path = " ".join(f"{'L' if at else 'M'}{x} {y}" for at, (x, y) in enumerate(places))
    dots = "".join(f'<circle class="{kind}" cx="{x}" cy="{y}" r="4"/>' for x, y in places)
    return Markup(f'<path class="line {kind}" d="{path}"/>{dots}')  # noqa: S704  # numbers only


def _kept(epochs: Sequence[Epoch]) -> Markup:
    places = [_across(at, len(epochs)) for at, one in enumerate(epochs) if one.kept]
    return Markup("").join(Markup('<path class="agree" d="M{} 10V168"/>').format(x) for x in places)


def _levels(largest: float) -> Markup:
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = _up(share * largest, largest)
        parts.append(f'<path class="grid" d="M36 {y}H392"/>')
        number = fixed(share * largest)
        parts.append(f'<text class="tick" x="31" y="{y + 3}" text-anchor="end">{number}</text>')
    return Markup("".join(parts))  # noqa: S704  # numbers only


def _across(at: int, count: int) -> float:
    return round(52 + 326 * (at / (count - 1) if count > 1 else 0.5), 1)


def _up(value: float, largest: float) -> float:
    return round(168 - 154 * value / largest, 1)
