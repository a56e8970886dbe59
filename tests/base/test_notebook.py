"""HTML for notebooks: no scripts, nothing from other sites, every text escaped."""

import re

import pytest

from marey.base.notebook import html_bars, html_details, html_failure, html_table, keep_beginning, keep_end

EVIL = "<script>alert('a & b')</script>"


@pytest.mark.parametrize(
    "page",
    [
        html_bars(EVIL, [(EVIL, 0.5)], note=EVIL),
        html_table(EVIL, [EVIL, "count"], [(EVIL, 3)], note=EVIL),
        html_details(EVIL, EVIL),
        html_failure(EVIL, EVIL),
    ],
    ids=["bars", "table", "folded", "failure"],
)
def test_texts_are_escaped_and_nothing_is_loaded(page) -> None:
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#x27;a &amp; b&#x27;)" in page
    assert not re.search(r"https?:|url\(|src=|href=|@import", page)
    for tag in ("div", "table", "tr", "td", "th", "details", "summary", "pre", "b"):
        assert len(re.findall(rf"<{tag}[ >]", page)) == page.count(f"</{tag}>")


def test_no_colour_is_fixed_that_a_theme_could_hide() -> None:
    """Text takes the colour around it, and shades are translucent."""
    page = html_bars("t", [("a", 0.5)]) + html_table("t", ["a"], [("b",)]) + html_details("t", "y")
    assert not re.search(r"[;\"]color:", page)
    assert not re.search(r"background:(?!none|rgba)", page)


def test_bars_are_as_long_as_shares() -> None:
    page = html_bars("t", [("a", 0.8125), ("b", 0.0), ("c", 1.2)])
    assert re.findall(r"width:([\d.]+)%", page) == ["81.2", "0.0", "100.0"]
    assert re.findall(r">([\d.]+ %)<", page) == ["81.2 %", "0.0 %", "120.0 %"]


def test_numbers_are_aligned_right() -> None:
    page = html_table("t", ["name", "videos", "top-1"], [("a", 12345, "9.0 %"), ("b", 2, "")])
    assert re.findall(r"<td [^>]*text-align:(\w+)", page) == ["left", "right", "right"] * 2
    assert "12,345" in page


def test_long_texts_are_shortened_at_one_end() -> None:
    assert (keep_end("a/b/c.mp4", 20), keep_end("a/b/c.mp4", 6)) == ("a/b/c.mp4", "…c.mp4")
    assert (keep_beginning("a name", 20), keep_beginning("a name", 4)) == ("a name", "a n…")
