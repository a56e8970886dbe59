"""The hook on messages of commits: a short subject, an empty line, a body."""

import subprocess
import sys

import pytest

from tools import commit_message
from tools.commit_message import problem_with

GIT = "# Please enter the commit message for your changes.\n#\n# On branch main\n"


@pytest.mark.parametrize(
    "message",
    [
        "A" * 71 + "\n\nWhy.\n",
        "Subject\n\n" + "A body of any width. " * 9,
        f"Subject\n\nWhy.\n\n{GIT}",
        "\nSubject\n\nWhy.",
        "Merge branch 'other'\n",
        "fixup! Subject\n",
    ],
)
def test_a_good_message_passes(message: str) -> None:
    assert problem_with(message) is None


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("A" * 72 + "\n\nWhy.\n", "72 characters"),
        ("Merge " + "a" * 66, "72 characters"),
        ("Subject\n", "no body"),
        (f"Subject\n\n{GIT}", "no body"),
        ("Subject\n\n# ------------------------ >8 ------------------------\ndiff --git a/b b/b\n", "no body"),
        ("Subject\n\nSigned-off-by: A <a@b.c>\n", "no body"),
        ("Subject\nWhy.\n", "second line"),
        ("", "no body"),
    ],
)
def test_a_bad_message_is_refused(message: str, problem: str) -> None:
    assert problem in (problem_with(message) or "")


def test_the_hook_fails_with_the_problem(tmp_path) -> None:
    file = tmp_path / "COMMIT_EDITMSG"
    for message, code in (("Subject\n\nWhy.\n", 0), ("Subject\n", 1)):
        file.write_text(message, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, commit_message.__file__, file], capture_output=True, text=True, check=False
        )
        assert (done.returncode, "no body" in done.stderr) == (code, bool(code))
