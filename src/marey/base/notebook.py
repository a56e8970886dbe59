"""HTML by which values of Marey are shown in a notebook, without scripts; and shortened texts for their `repr`.

The HTML uses the text colour around it and only translucent shades, so that it is readable in light and dark themes. All
text is escaped.
"""

from collections.abc import Sequence
from html import escape

from marey.base.words import percent

_FONT = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.5"
_SHADE, _BAR, _GREY, _RED = "rgba(128,128,128,.22)", "rgba(66,133,244,.85)", "opacity:.72", "color:#d9534f"
_CELL = "padding:1px 12px 1px 0;text-align:{side};border:0;background:none;white-space:nowrap"
_SHORT = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap"


def keep_end(text: str, most: int) -> str:
    """The text, shortened to its last characters after "…" if longer than `most`: paths differ at their ends."""
    return text if len(text) <= most else "…" + text[len(text) - most + 1 :]


def keep_beginning(text: str, most: int) -> str:
    """The text, shortened to its first characters before "…" if longer than `most`."""
    return text if len(text) <= most else text[: most - 1] + "…"


def html_bars(title: str, shares: Sequence[tuple[str, float]], *, note: str = "") -> str:
    """Names with their shares, 0 to 1, as horizontal bars below a title; `note` is a line below them."""
    rows = "".join(
        f'<div style="{_SHORT}" title="{escape(name)}">{escape(name)}</div>'
        f'<div style="background:{_SHADE};border-radius:3px"><div style="width:{100 * min(max(share, 0), 1):.1f}%;'
        f'height:12px;background:{_BAR};border-radius:3px"></div></div>'
        f'<div style="text-align:right;font-variant-numeric:tabular-nums">{percent(share)}</div>'
        for name, share in shares
    )
    grid = (
        "display:grid;grid-template-columns:minmax(0,max-content) minmax(60px,220px) max-content;gap:2px 12px;"
        "align-items:center;justify-content:start"
    )
    return f'<div style="{_FONT}">{_title(title)}<div style="{grid}">{rows}</div>{_html_note(note)}</div>'


def html_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str | int]], *, note: str = "") -> str:
    """A table below a title; integers and percentages ("81.2 %") are aligned right. `note` is a line below it."""
    numbers = [
        bool(rows) and all(isinstance(row[i], int) or row[i] == "" or str(row[i]).endswith("%") for row in rows)
        for i in range(len(columns))
    ]
    styles = [_CELL.format(side="right" if number else "left") for number in numbers]
    head = "".join(
        f'<th style="{style};{_GREY};font-weight:normal">{escape(name)}</th>'
        for name, style in zip(columns, styles, strict=True)
    )
    cells = [
        "".join(f'<td style="{style}">{_cell_text(value)}</td>' for value, style in zip(row, styles, strict=True))
        for row in rows
    ]
    body = "".join(f'<tr style="background:none">{row}</tr>' for row in cells)
    header = f'<tr style="background:none">{head}</tr>' if any(columns) else ""
    inside = f'<table style="border-collapse:collapse;border:0;margin:0;font-size:13px">{header}{body}</table>'
    return f'<div style="{_FONT};overflow-x:auto">{_title(title)}{inside}{_html_note(note)}</div>'


def html_details(title: str, text: str) -> str:
    """A title that expands to a longer text, such as YAML, which is shown verbatim."""
    summary = f'<summary style="cursor:pointer"><b>{escape(title)}</b></summary>'
    pre = f'<pre style="font-size:12px;margin:4px 0 0 16px;background:none">{escape(text)}</pre>'
    return f'<details style="{_FONT}">{summary}{pre}</details>'


def html_failure(title: str, reason: str) -> str:
    """A title with the reason of a failure."""
    return f'<div style="{_FONT}">{_title(title)}<div style="{_RED}">{escape(reason)}</div></div>'


def _cell_text(value: str | int) -> str:
    return f"{value:,}" if isinstance(value, int) else escape(value)


def _title(text: str) -> str:
    return f'<div style="font-weight:600">{escape(text)}</div>' if text else ""


def _html_note(text: str) -> str:
    return f'<div style="{_GREY}">{escape(text)}</div>' if text else ""
