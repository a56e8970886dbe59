"""Screenshots for README: the tool finds a browser or states what to do, and cuts off empty space below a page."""

import shutil

import pytest

from tools import readme_pictures


def test_without_a_browser_one_line_says_what_to_do(monkeypatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(readme_pictures, "_MAC", readme_pictures.ROOT / "no such program")
    with pytest.raises(SystemExit, match=r"no browser found \(chromium, .*name one with --browser PATH\."):
        readme_pictures.find_browser(None)
    with pytest.raises(SystemExit, match=r"netscape: no such program\."):
        readme_pictures.find_browser("netscape")


def test_the_first_browser_that_the_system_finds_is_taken(monkeypatch) -> None:
    there = {"google-chrome": "/usr/bin/google-chrome", "msedge": "/usr/bin/msedge", "mine": "/home/me/mine"}
    monkeypatch.setattr(shutil, "which", there.get)
    assert readme_pictures.find_browser(None) == "/usr/bin/google-chrome"
    assert readme_pictures.find_browser("mine") == "/home/me/mine"


def test_empty_ground_below_a_page_is_cut_off(tmp_path) -> None:
    if not any(map(shutil.which, readme_pictures.BROWSERS)):
        pytest.skip("no browser is here")
    page = tmp_path / "page.html"
    page.write_text("<body style='margin:0'><div style='width:100px;height:200px;background:rgb(0,0,255)'>")
    image = readme_pictures.photograph(readme_pictures.find_browser(None), page, 600)
    assert image.shape == (200 + 16, 860, 3)
    assert image[199, 99].tolist() == [255, 0, 0]
    assert image[200, 99].tolist() == image[199, 100].tolist() == [255, 255, 255]
