"""README's lines parse, its files and pages exist, and its numbers are on the pages that it names.

Its lines of marey and make are checked with those of all pages (test_command_lines.py), and run by test_wheel.py.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import pytest

from tests.support.front_page import README, ROOT, pieces

TEXT = README.read_text(encoding="utf-8")
COMMANDS = [words for piece in pieces(TEXT) if piece.kind == "shell" for words in piece.commands]


PIP = [words[1:] for words in COMMANDS if words[0] == "pip"]


def test_every_line_is_of_a_program_that_a_test_checks() -> None:
    assert {words[0] for words in COMMANDS} == {"marey", "pip", "python3", ".", "make"}


PIPS_PARSER = """
import json, sys
from pip._internal.commands import create_command
for words in json.loads(sys.argv[1]):
    options, given = create_command(words[0]).parse_args(words[1:])
    print(json.dumps([given, getattr(options, "index_url", None)]))
"""
"""Run in a process of its own: pip takes away what setuptools adds to Python's distutils, which torch.compile needs."""


def test_lines_of_pip_parse_and_what_they_install_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [sys.executable, "-c", PIPS_PARSER, json.dumps(PIP)]
    lines = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(PIP) > 3
    for given, index in map(json.loads, lines):
        assert given
        for target in given:
            name, extra = re.fullmatch(r"([^\[]+)(?:\[(.*)\])?", target).groups()
            assert name in {".", "torch", "dist/marey-*.whl"}
            assert not extra or set(extra.split(",")) <= set(project["optional-dependencies"])
        if "torch" in given:
            assert re.fullmatch(r"https://download\.pytorch\.org/whl/(cpu|cu\d+)", index)


def test_the_python_blocks_compile_and_their_names_are_public() -> None:
    import marey

    blocks = [piece.text for piece in pieces(TEXT) if piece.kind == "python"]
    assert blocks
    for block in blocks:
        compile(block, "README.md", "exec")
        for name in re.findall(r"marey\.(\w+)\(", block):
            assert name in marey.__all__


NUMBERS = re.findall(r"^\| \*\*(.+?)\*\* \|(.*)\|(.*)\[[^]]+\]\(([^)]+)\) \|$", TEXT, re.MULTILINE)


def test_four_numbers_are_shown() -> None:
    assert len(NUMBERS) == 4


@pytest.mark.parametrize(("number", "what", "where", "page"), NUMBERS)
def test_a_number_is_on_the_page_that_it_names(number, what, where, page) -> None:
    """So do the numbers beside it, and the machine and the date."""
    text = (ROOT / page).read_text(encoding="utf-8")
    plain = " ".join(text.replace(",", "").split())
    words = (what + where).replace(",", "")
    for part in (number, *re.findall(r"\d[\d.x-]*\d", words)):
        assert re.search(rf"(?<![\d.]){re.escape(part)}(?![\d.]*\d)", plain), f"{part} is not on {page}"
    for machine in re.findall(r"AMD EPYC|NVIDIA \w+|shared CPU cores", where):
        assert machine in plain


def test_the_largest_difference_is_the_largest_of_the_page() -> None:
    page = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
    found = [float(number) for number in re.findall(r"\| ([\d.]+e-\d+)(?= \|)", page)]
    assert max(found) == float(NUMBERS[0][0])


PICTURES = re.findall(r"!\[([^]]*)\]\(([^)]+)\)", TEXT)


def test_a_prediction_and_a_report_are_shown() -> None:
    assert [path for _, path in PICTURES] == ["docs/pictures/answer.png", "docs/pictures/report.png"]


@pytest.mark.parametrize(("words", "path"), PICTURES)
def test_a_picture_is_light_legible_and_described(words, path) -> None:
    assert len(words) > 30
    assert (ROOT / path).stat().st_size < 300_000
    height, width = cv2.imread(str(ROOT / path)).shape[:2]
    assert 700 <= width <= 900  # as wide as README is on its page: letters keep their size
    assert height < 1000


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", TEXT))))
def test_a_link_leads_to_a_file(target) -> None:
    assert Path(ROOT / target).is_file()
