"""Notices, warnings and progress: which process reports, in which words, and their appearance on a terminal."""

import io
import logging
import os
import pty
import re
import subprocess
import sys
import threading
import time

import pytest
from rich.console import Console

from marey.base.errors import RunError
from marey.base.jobs import run_jobs
from marey.base.processes import Processes, processes
from marey.base.reporter import (
    Bar,
    LoggingReporter,
    SilentReporter,
    TerminalReporter,
    notice,
    progress,
    reporting,
    set_reporter,
    warning,
    warning_of_file,
    warning_once,
)
from tests.support.collecting import Collecting


def seen(written: str) -> list[str]:
    """The lines that a terminal shows after `written` was sent to it, with the control codes of Rich's bars."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", written):
        if part == "\r":
            column = 0
        elif part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row == len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part == "\x1b[1A":
            row -= 1
        elif not part.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
        else:
            assert part[-1] in "mhl", part  # colours; the cursor hidden and shown
    return lines


@pytest.fixture
def terminal():
    """A terminal of 100 columns: its reporter, and the text written to it."""
    written = io.StringIO()
    with reporting(TerminalReporter(Console(file=written, force_terminal=True, width=100))):
        yield written


# -- words


def test_without_a_terminal_messages_are_lines_word_for_word(capsys) -> None:
    notice("\n1/2  [bold] pip install 'marey[lite]' :smile:")
    warning("x" * 300)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "\n1/2  [bold] pip install 'marey[lite]' :smile:\n" + "x" * 300 + "\n"


def test_a_terminal_marks_warnings_and_takes_messages_as_they_are(terminal) -> None:
    notice("pip install 'marey[lite]' :smile: /a/path/" + "x" * 80)
    warning("[red]slow")
    assert seen(terminal.getvalue()) == [
        "pip install 'marey[lite]' :smile: /a/path/" + "x" * 80,
        "warning: [red]slow",
        "",
    ]
    assert "\x1b[1;33mwarning: \x1b[0m" in terminal.getvalue()


def test_a_warning_once_is_given_once_per_reporter(monkeypatch) -> None:
    first, second = Collecting(), Collecting()
    for reporter in (first, second):
        with reporting(reporter):
            for _ in range(2):
                warning_once("a slow CPU")
                warning("a broken file")
    assert first.warnings == second.warnings == ["a slow CPU", "a broken file", "a broken file"]
    monkeypatch.setenv("RANK", "1")
    with reporting(first):
        warning_once("another")
    assert "another" not in first.warnings, "the first process speaks for all"


def test_a_warning_of_a_file_is_given_once_per_process(monkeypatch) -> None:
    mine = Collecting()
    monkeypatch.setenv("RANK", "1")
    with reporting(mine):
        for _ in range(2):
            for number in range(30):
                warning_of_file(f"{number}.mkv: the first 7 frames are left out")
    assert mine.warnings[:20] == [f"{number}.mkv: the first 7 frames are left out" for number in range(20)]
    assert mine.warnings[20:] == ["more files are not read whole: `marey data audit` counts and lists all of them"]


# -- progress


def test_without_a_terminal_progress_is_a_line_now_and_then(capsys) -> None:
    set_reporter(TerminalReporter(every=0))
    with progress("Testing", total=3, unit="videos") as bar:
        bar.advance(note="top-1 100.0 %")
        bar.advance(2)
    middle, end = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"Testing: 1/3, [\d.]+ videos/s, \d+ s left top-1 100\.0 %", middle)
    assert re.fullmatch(r"Testing: 3 videos in 0 s \([\d.]+/s\) top-1 100\.0 %", end)


def test_short_work_is_one_line(capsys) -> None:
    with progress("Testing", total=2) as bar:
        bar.advance()
        bar.advance()
    assert re.fullmatch(r"Testing: 2 steps in 0 s \([\d.]+/s\)\n", capsys.readouterr().err)
    with progress("Nothing", total=0):
        pass
    with pytest.raises(ZeroDivisionError), progress("Cut", total=2):
        1 / 0  # noqa: B018
    assert capsys.readouterr().err == ""


def test_messages_during_a_bar_are_above_it(terminal) -> None:
    with progress("Testing", total=3, unit="videos") as bar:
        bar.advance(2, note="2 broken")
        notice("resumed: " + "x" * 90)
        warning("broken file 1")
        until = time.monotonic() + 60
        while "2 broken" not in terminal.getvalue():  # drawn four times a second
            assert time.monotonic() < until
            time.sleep(0.02)
        amid = seen(terminal.getvalue())
        bar.advance()
    assert amid[:2] == ["resumed: " + "x" * 90, "warning: broken file 1"]
    assert len(amid) == 3
    assert re.match(r"Testing .*━.* 2/3 [\d.]+ videos/s .*2 broken", amid[2]), amid
    after = seen(terminal.getvalue())
    assert after[:2] == amid[:2]
    assert re.match(r"Testing: 3 videos in 0 s", after[2])
    assert after[3:] == [""]


def test_simultaneous_bars_share_the_screen(terminal) -> None:
    """One inside another, and one of another thread: each is drawn, and none remains."""
    with progress("Outer", total=2) as outer:
        inner = progress("Inner", total=1)

        def work() -> None:
            with inner:
                inner.advance()
                notice("amid both")
                drawn.append(seen(terminal.getvalue()))

        drawn: list[list[str]] = []
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        outer.advance(2)
    assert [line.split()[0] for line in drawn[0] if line] == ["amid", "Outer", "Inner"]
    assert [line.split(" in ")[0] for line in seen(terminal.getvalue())] == [
        "amid both",
        "Inner: 1 step",
        "Outer: 2 steps",
        "",
    ]


def test_a_result_printed_during_a_bar_stays_in_its_pipe() -> None:
    """Progress is on the terminal, results are not: `marey predict MODEL VIDEOS > answers.txt`."""
    code = (
        "from marey.base.reporter import notice, progress\n"
        "with progress('Predicting', total=1, unit='videos') as bar:\n"
        "    print('a.mp4  run  97.0 %', flush=True)\n"
        "    notice('a notice')\n"
        "    bar.advance()\n"
    )
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs, text=True, check=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    shown = os.read(ours, 1 << 16).decode()
    os.close(theirs)
    os.close(ours)
    assert done.stdout == "a.mp4  run  97.0 %\n"
    assert "a.mp4" not in shown
    assert "━" in shown
    first, second = seen(shown)[:2]
    assert first == "a notice"
    assert second.startswith("Predicting: 1 video in 0 s")


# -- which reporter


def test_logging_has_levels(caplog) -> None:
    caplog.set_level(logging.INFO)
    with reporting(LoggingReporter(every=0)):
        notice("\n3/4  100 % done")
        warning("slow")
        with progress("Testing", total=2, unit="videos") as bar:
            bar.advance()
            bar.advance()
    assert {record.name for record in caplog.records} == {"marey"}
    assert [(record.levelname, record.getMessage().split(",")[0].split(" in ")[0]) for record in caplog.records] == [
        ("INFO", "3/4  100 % done"),
        ("WARNING", "slow"),
        ("INFO", "Testing: 1/2"),
        ("INFO", "Testing: 2 videos"),
    ]
    caplog.clear()
    with reporting(LoggingReporter(logging.getLogger("service.video"))):
        warning("slow")
    assert [record.name for record in caplog.records] == ["service.video"]


def test_a_reporter_is_current_within_its_block(capsys) -> None:
    mine = Collecting()
    with pytest.raises(ZeroDivisionError), reporting(mine):
        notice("within")
        with reporting(SilentReporter()):
            warning("to nobody")
        1 / 0  # noqa: B018
    notice("after")
    assert (mine.notices, mine.warnings) == (["within"], [])
    assert capsys.readouterr().err == "after\n"


def test_a_silent_bar_counts() -> None:
    with reporting(SilentReporter()), progress("Testing", total=3) as bar:
        bar.advance(2, note="half")
        assert (bar.done, bar.note) == (2, "half")
        assert bar.rate > 0


# -- several processes


def test_processes_follow_torchrun(monkeypatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert processes() == Processes(rank=0, world=1, local_rank=0, local_world=1)
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    assert processes() == Processes(rank=5, world=8, local_rank=1, local_world=4)
    assert not processes().first
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(RunError, match="^RANK=first in the environment: expected a number"):
        processes()


def test_rank_0_gives_notices_and_every_process_its_own_warnings(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        mine = Collecting()
        with reporting(mine):
            notice("testing")
            warning(f"a broken file of process {rank}")
            with reporting(LoggingReporter()):
                told.append((mine.notices, mine.warnings, type(progress("Testing", total=1)) is Bar))
    assert told == [
        (["testing"], ["a broken file of process 0"], False),
        ([], ["a broken file of process 1"], True),
    ]


def speaks(number: int) -> int:
    """Work in another process, which has another reporter."""
    notice(f"at {number}")
    warning_once("no compiler on this machine")
    with progress("Within", total=1) as bar:
        bar.advance()
    return number


@pytest.mark.parametrize("workers", [0, 2])
def test_messages_of_worker_processes_are_reported_once(workers, capfd) -> None:
    mine = Collecting()
    with reporting(mine):
        assert run_jobs(speaks, [1, 2, 3, 4], workers=workers, title="Counting") == [1, 2, 3, 4]
    assert mine.notices == ["at 1", "at 2", "at 3", "at 4"]
    assert mine.warnings == ["no compiler on this machine"]
    assert capfd.readouterr() == ("", "")
