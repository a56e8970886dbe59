"""Self-contained HTML pages: templates, charts as inline SVG, images as data URIs."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.cells import cell_len


@dataclass(frozen=True)
class Line:
    """A named line of a chart."""

    name: str
    """Name of the line in the legend."""
    x: Sequence[float]
    """Horizontal positions of the points, in the unit of the chart's axis."""
    y: Sequence[float]
    """Heights of the points in the unit of the chart's other axis, one for each of `x`; at NaN the line is
    interrupted."""
    low: Sequence[float] = ()
    """Lower ends of the points' intervals, drawn with `high` as a band behind the line; () for none."""
    high: Sequence[float] = ()
    """Upper ends of the points' intervals; () for none."""


def render(package: str, template: str, **values: Any) -> str:
    """Fill a template from the `templates` folder of a package. Text is escaped, and a missing value is an error.

    The template may extend `page.html` of this package, which has the common style of all pages.
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
    """JPEG bytes as a data URI for an `img` element."""
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
{% if line.stripe %}<polygon class="stripe" points="{{ line.stripe }}"/>{% endif %}
<polyline class="line line{{ loop.index }}" points="{{ line.points }}"/>
<text class="key key{{ loop.index }}" x="{{ left + 8 + 110 * loop.index0 }}" y="14">{{ line.name }}</text>
{% endfor %}
</svg>"""
)


_STROKE = 10
"""Length of the stroke that stands for a line of a single point, in units of the SVG."""


def line_chart(title: str, lines: Sequence[Line], *, percent: bool = False) -> Markup:
    """A line chart as SVG in the page's colours; a line of one point is drawn as a short stroke."""
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
        around = [*zip(line.x, line.high, strict=False), *reversed(list(zip(line.x, line.low, strict=False)))]
        stripe = _points((across(x), down(y)) for x, y in around)
        drawn.append({"name": line.name, "points": _points(points), "stripe": stripe})
    steps = [low + (high - low) * i / 4 for i in range(5)]
    y_ticks = [{"at": down(y), "text": f"{100 * y:.0f} %" if percent else f"{y:.2g}"} for y in steps]
    count = min(6, len(set(xs)))
    marks = [first + (last - first) * i / max(count - 1, 1) for i in range(count)]
    x_ticks = [{"at": across(x), "text": f"{x:.0f}"} for x in marks]
    svg = _CHART.render(title=title, w=width, h=height, left=left, y_ticks=y_ticks, x_ticks=x_ticks, lines=drawn)
    return Markup(svg)


def _points(points: Iterable[tuple[float, float]]) -> str:
    """Points in the format of SVG."""
    return " ".join(f"{x},{y}" for x, y in points)


@dataclass(frozen=True)
class Dot:
    """A dot of a `dot_chart`."""

    x: float
    """Position on the horizontal axis, 0 to 1."""
    y: float
    """Position on the vertical axis, 0 to 1."""
    count: int
    """Number of predictions, which sets the size of the dot."""


_DOTS = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """<svg class="dots" viewBox="0 0 {{ side + 66 }} {{ side + 60 }}" style="max-width:{{ side + 66 }}px" role="img"
 aria-label="{{ title }}">
{% for tick in ticks %}
<line class="grid" x1="44" x2="{{ 44 + side }}" y1="{{ tick.y }}" y2="{{ tick.y }}"/>
<text class="tick" x="38" y="{{ tick.y + 4 }}" text-anchor="end">{{ tick.text }}</text>
<text class="tick" x="{{ tick.x }}" y="{{ side + 40 }}" text-anchor="middle">{{ tick.text }}</text>
{% endfor %}
<line class="diagonal" x1="44" y1="{{ 22 + side }}" x2="{{ 44 + side }}" y2="22"/>
{% for one in series %}
<polyline class="line line{{ loop.index }}" points="{{ one.points }}"/>
{% for dot in one.dots %}
<circle class="dot dot{{ one.number }}" cx="{{ dot.x }}" cy="{{ dot.y }}" r="{{ dot.r }}">
<title>{{ dot.text }}</title></circle>
{% endfor %}
<text class="key key{{ loop.index }}" x="{{ 44 + 120 * loop.index0 }}" y="12">{{ one.name }}</text>
{% endfor %}
<text class="tick" x="{{ 44 + side / 2 }}" y="{{ side + 56 }}" text-anchor="middle">{{ across }}</text>
</svg>"""
)


def dot_chart(title: str, across: str, series: Mapping[str, Sequence[Dot]]) -> Markup:
    """A chart as SVG of named series of dots, with the diagonal, both axes from 0 to 100 %. `across` is the label of the
    horizontal axis.
    """
    side, most = 300, max((dot.count for dots in series.values() for dot in dots), default=1)

    def drawing(dot: Dot) -> dict[str, float | str]:
        text = f"{100 * dot.x:.0f} %: {100 * dot.y:.0f} % of {dot.count:,}"
        radius = round(2 + 7 * math.sqrt(dot.count / most), 1)
        return {"x": round(44 + side * dot.x, 1), "y": round(22 + side * (1 - dot.y), 1), "r": radius, "text": text}

    drawn = []
    for number, (name, dots) in enumerate(series.items(), start=1):
        circles = [drawing(dot) for dot in dots]
        points = " ".join(f"{one['x']},{one['y']}" for one in circles)
        drawn.append({"name": name, "number": number, "dots": circles, "points": points})
    ticks = [{"x": 44 + side * i / 4, "y": 22 + side * (4 - i) / 4, "text": f"{25 * i} %"} for i in range(5)]
    return Markup(_DOTS.render(title=title, across=across, side=side, ticks=ticks, series=drawn))


_HEAT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """<svg class="heat{% if w > 520 %} large{% endif %}" viewBox="0 0 {{ w }} {{ h }}"
 style="max-width:{{ w }}px" role="img" aria-label="{{ title }}">
{% for row in rows %}
<text class="tick" x="{{ left - 6 }}" y="{{ row.y + cell / 2 + 4 }}" text-anchor="end">{{ row.short }}</text>
{% for c in row.cells %}
{% if c.link %}<a href="#{{ c.link }}">{% endif %}
<rect x="{{ c.x }}" y="{{ row.y }}" width="{{ cell - 1 }}" height="{{ cell - 1 }}" class="{{ c.kind }}"
 style="fill-opacity:{{ c.share }}"><title>{{ row.name }} taken for {{ c.name }}: {{ c.count }}</title></rect>
{% if c.count and cell >= 20 %}
<text class="cell{% if c.share > 0.55 %} strong{% endif %}" x="{{ c.x + cell / 2 }}" y="{{ row.y + cell / 2 + 4 }}"
 text-anchor="middle">{{ c.count }}</text>
{% endif %}
{% if c.link %}</a>{% endif %}
{% endfor %}
{% endfor %}
{% for name in names %}
<text class="tick" text-anchor="end"
 transform="translate({{ left + loop.index0 * cell + cell / 2 + 4 }} {{ h - bottom + 8 }}) rotate(-60)">{{ name }}</text>
{% endfor %}
</svg>"""
)


_LONGEST = 28
"""Longest class name beside a heat map, in characters; longer names are shown in full when the pointer is on a cell."""


def heat_map(
    title: str,
    matrix: Sequence[Sequence[int]],
    names: Sequence[str],
    links: Mapping[tuple[int, int], str] | None = None,
) -> Markup:
    """A heat map as SVG of a square matrix of counts: cells are shaded by their share of the row, the diagonal has another
    colour. `links` are the ids of elements of the page that cells (row, column) link to.
    """
    links = links or {}
    cell = max(10, min(40, 620 // len(names)))
    shorts = [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…" for name in names]
    longest = max(map(cell_len, shorts))  # Chinese characters have twice the width of Latin ones
    left, bottom = 7 * longest + 12, 6 * longest + 16
    rows = []
    for i, (name, counts) in enumerate(zip(names, matrix, strict=True)):
        total = max(sum(counts), 1)
        cells = [
            {
                "x": left + j * cell, "count": n, "share": round(n / total, 3), "name": names[j],
                "kind": "right" if i == j else "wrong", "link": links.get((i, j)),
            }
            for j, n in enumerate(counts)
        ]  # fmt: skip
        rows.append({"name": name, "short": shorts[i], "y": i * cell, "cells": cells})
    width, height = left + cell * len(names) + 8, cell * len(names) + bottom
    svg = _HEAT.render(title=title, rows=rows, names=shorts, cell=cell, left=left, bottom=bottom, w=width, h=height)
    return Markup(svg)
