"""The pieces of what notebooks show: no script, nothing from elsewhere, every text escaped."""

import re

import pytest

from marey.base.notebook import bars, beginning, ending, failure, folded, table

EVIL = "<script>alert('a & b')</script>"


@pytest.mark.parametrize(
    "page",
    [
        bars(EVIL, [(EVIL, 0.5)], note=EVIL),
        table(EVIL, [EVIL, "count"], [(EVIL, 3)], note=EVIL),
        folded(EVIL, EVIL),
        failure(EVIL, EVIL),
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
    page = bars("t", [("a", 0.5)]) + table("t", ["a"], [("b",)]) + folded("t", "y")
    assert not re.search(r"[;\"]color:", page)
    assert not re.search(r"background:(?!none|rgba)", page)


def test_bars_are_as_long_as_shares() -> None:
    page = bars("t", [("a", 0.8125), ("b", 0.0), ("c", 1.2)])
    assert re.findall(r"width:([\d.]+)%", page) == ["81.2", "0.0", "100.0"]
    assert re.findall(r">([\d.]+ %)<", page) == ["81.2 %", "0.0 %", "120.0 %"]


def test_numbers_stand_at_the_right() -> None:
    page = table("t", ["name", "videos", "top-1"], [("a", 12345, "9.0 %"), ("b", 2, "")])
    assert re.findall(r"<td [^>]*text-align:(\w+)", page) == ["left", "right", "right"] * 2
    assert "12,345" in page


def test_long_texts_are_cut_where_they_say_least() -> None:
    assert (ending("a/b/c.mp4", 20), ending("a/b/c.mp4", 6)) == ("a/b/c.mp4", "…c.mp4")
    assert (beginning("a name", 20), beginning("a name", 4)) == ("a name", "a n…")
