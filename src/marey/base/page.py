"""Pages of HTML that need nothing beside themselves: charts as inline SVG, pictures as data."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.cells import cell_len


@dataclass(frozen=True)
class Line:
    """A named line of a chart: y over x; NaN breaks it."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def render(package: str, template: str, **values: Any) -> str:
    """A template from the `templates` folder of a package, filled; text is escaped, a missing value is an error.

    It may extend `page.html` of this package, which has what all pages look like.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("marey.base")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def jpeg_uri(encoded: bytes) -> str:
    """JPEG bytes as an address to put into an `img`."""
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()


_CHART = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """<svg class="chart" viewBox="0 0 {{ w }} {{ h }}" role="img" aria-label="{{ title }}">
{% for tick in y_ticks %}
<line class="grid" x1="{{ left }}" x2="{{ w - 8 }}" y1="{{ tick.at }}" y2="{{ tick.at }}"/>
<text class="tick" x="{{ left - 6 }}" y="{{ tick.at + 4 }}" text-anchor="end">{{ tick.text }}</text>
{% endfor %}
{% for tick in x_ticks %}
<text class="tick" x="{{ tick.at }}" y="{{ h - 6 }}" text-anchor="middle">{{ tick.text }}</text>
{% endfor %}
{% for line in lines %}
<polyline class="line line{{ loop.index }}" points="{{ line.points }}"/>
<text class="key key{{ loop.index }}" x="{{ left + 8 + 110 * loop.index0 }}" y="14">{{ line.name }}</text>
{% endfor %}
</svg>"""
)


_STROKE = 10
"""Length of what is drawn of a single point."""


def line_chart(title: str, lines: Sequence[Line], *, percent: bool = False) -> Markup:
    """Lines over a common x axis, as SVG that follows the page's colours; a line of one point is a short stroke."""
    width, height, left, top, bottom = 520, 220, 48, 26, 24
    xs = [x for line in lines for x in line.x]
    ys = [y for line in lines for y in line.y if math.isfinite(y)]
    low, high = (0.0, 1.0) if percent else (min([0.0, *ys]), max(ys, default=1.0))
    first, last = min(xs, default=0.0), max(xs, default=1.0)

    def across(x: float) -> float:
        return round(left + (x - first) / max(last - first, 1e-9) * (width - left - 12), 1)

    def down(y: float) -> float:
        return round(top + (high - y) / max(high - low, 1e-9) * (height - top - bottom - 6), 1)

    drawn = []
    for line in lines:
        points = [(across(x), down(y)) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
        if len(points) == 1:
            points.append((points[0][0] + _STROKE, points[0][1]))
        drawn.append({"name": line.name, "points": " ".join(f"{x},{y}" for x, y in points)})
    steps = [low + (high - low) * i / 4 for i in range(5)]
    y_ticks = [{"at": down(y), "text": f"{100 * y:.0f} %" if percent else f"{y:.2g}"} for y in steps]
    count = min(6, len(set(xs)))
    marks = [first + (last - first) * i / max(count - 1, 1) for i in range(count)]
    x_ticks = [{"at": across(x), "text": f"{x:.0f}"} for x in marks]
    svg = _CHART.render(title=title, w=width, h=height, left=left, y_ticks=y_ticks, x_ticks=x_ticks, lines=drawn)
    return Markup(svg)


_HEAT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """<svg class="heat{% if w > 520 %} large{% endif %}" viewBox="0 0 {{ w }} {{ h }}"
 style="max-width:{{ w }}px" role="img" aria-label="{{ title }}">
{% for row in rows %}
<text class="tick" x="{{ left - 6 }}" y="{{ row.y + cell / 2 + 4 }}" text-anchor="end">{{ row.short }}</text>
{% for c in row.cells %}
<rect x="{{ c.x }}" y="{{ row.y }}" width="{{ cell - 1 }}" height="{{ cell - 1 }}" class="{{ c.kind }}"
 style="fill-opacity:{{ c.share }}"><title>{{ row.name }} taken for {{ c.name }}: {{ c.count }}</title></rect>
{% if c.count and cell >= 20 %}
<text class="cell{% if c.share > 0.55 %} strong{% endif %}" x="{{ c.x + cell / 2 }}" y="{{ row.y + cell / 2 + 4 }}"
 text-anchor="middle">{{ c.count }}</text>
{% endif %}
{% endfor %}
{% endfor %}
{% for name in names %}
<text class="tick" text-anchor="end"
 transform="translate({{ left + loop.index0 * cell + cell / 2 + 4 }} {{ h - bottom + 8 }}) rotate(-60)">{{ name }}</text>
{% endfor %}
</svg>"""
)


_LONGEST = 28
"""Characters of a class name beside a heat map; the whole of it shows where the pointer rests on a cell."""


def heat_map(title: str, matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Markup:
    """A square matrix of counts, each row shaded by its share; the diagonal in another colour."""
    cell = max(10, min(40, 620 // len(names)))
    shorts = [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…" for name in names]
    longest = max(map(cell_len, shorts))  # Chinese letters are as wide as two others
    left, bottom = 7 * longest + 12, 6 * longest + 16
    rows = []
    for i, (name, counts) in enumerate(zip(names, matrix, strict=True)):
        total = max(sum(counts), 1)
        cells = [
            {
                "x": left + j * cell, "count": n, "share": round(n / total, 3), "name": names[j],
                "kind": "right" if i == j else "wrong",
            }
            for j, n in enumerate(counts)
        ]  # fmt: skip
        rows.append({"name": name, "short": shorts[i], "y": i * cell, "cells": cells})
    width, height = left + cell * len(names) + 8, cell * len(names) + bottom
    svg = _HEAT.render(title=title, rows=rows, names=shorts, cell=cell, left=left, bottom=bottom, w=width, h=height)
    return Markup(svg)
