"""Counts and durations in words, in every message of the package."""

import ast
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from marey.base.bars import Bar
from marey.base.reporter import LoggingReporter, TerminalReporter, progress, reporting
from marey.base.words import about, counted, lasting, verb

SOURCE = Path(__file__).parents[2] / "src" / "marey"
COUNTED = (
    "videos|files|rows|classes|clips|frames|epochs|steps|groups|views|sources|splits|entries|tensors|processes|cores|scenes"
    "|streams|images|copies|checkpoints|batches|folders|links|faults|packets|channels|points|minutes|hours|seconds|runs"
)
PLURAL = re.compile(rf"(,|\.0f)? (more |other |broken |further )?({COUNTED})\b")
ALWAYS_SEVERAL = {
    # Rates, measurements and differences, which are not counts.
    "training/loop.py: record.clips_per_second",
    "engines/summary.py: self.computed / self.seconds",
    "workflows/demo.py: _rate(speed.write)",
    "workflows/demo.py: _rate(speed.decode)",
    "workflows/demo.py: _rate(speed.train)",
    "workflows/ablation.py: 100 * difference",
    "evaluation/compare.py: self.ours - self.theirs",
    "data/findings.py: s['sum'] / 3600",
    "recipe/train.py: schedule.length",
    "evaluation/out_of_fold/corrections_effect.py: 100 * self.gain",
    "evaluation/out_of_fold/learning_curve.py: 100 * self.gain",
    "evaluation/out_of_fold/cost.py: 100 * self.error",
    "workflows/classifier/finetuning/judge.py: 100 * self.difference",
    # Not counts.
    "data/splits/folds.py: _has(single)",
    "data/splits/folds.py: verb(count, 'has', 'have')",
    # At least two, by the code before.
    "data/cutting.py: len(files)",
    "data/splits/folds.py: len(names)",
    "evaluation/out_of_fold/classes_in_need.py: len(rows)",
    "evaluation/primary_metric.py: NEW_VIDEOS",
    "evaluation/out_of_fold/verdict.py: NEW_VIDEOS",
    "training/step.py: world",
    "video/reading/index.py: self.left_out",
    "workflows/demo.py: minutes",
    "workflows/demo.py: max(5, 5 * round(seconds / 5))",
    "workflows/two_streams.py: ' and '.join(map(str, classes))",
}


def plurals(file: Path) -> list[str]:
    """Values that f-strings of a file fill in directly before a plural noun, without `counted`."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            for part, following in zip(node.values, node.values[1:], strict=False):
                if (
                    isinstance(part, ast.FormattedValue)
                    and isinstance(following, ast.Constant)
                    and PLURAL.match(str(following.value))
                ):
                    found.append(f"{file.relative_to(SOURCE)}: {ast.unparse(part.value)}")
    return found


def test_no_message_counts_in_the_plural_alone() -> None:
    found = [one for file in sorted(SOURCE.rglob("*.py")) for one in plurals(file)]
    assert set(found) - ALWAYS_SEVERAL == set()


@pytest.mark.parametrize(
    ("count", "words", "text"),
    [
        (0, ("video",), "0 videos"),
        (1, ("video",), "1 video"),
        (1234, ("video",), "1,234 videos"),
        (1, ("class",), "1 class"),
        (3, ("class",), "3 classes"),
        (2, ("entry", "entries"), "2 entries"),
        (1, ("entry", "entries"), "1 entry"),
    ],
)
def test_a_count_in_words(count, words, text) -> None:
    assert counted(count, *words) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "under a minute"),
        (59, "under a minute"),
        (61, "about 1 minute"),
        (170, "about 3 minutes"),
        (89 * 60, "about 89 minutes"),
        (95 * 60, "about 2 hours"),
        (4.2 * 3600, "about 4 hours"),
        (50 * 3600, "about 2 days"),
    ],
)
def test_an_expected_time_in_words(seconds, text) -> None:
    assert about(seconds) == text


@pytest.mark.parametrize(("done", "text"), [(1, "Reading: 1 video in"), (2, "Reading: 2 videos in")])
@pytest.mark.parametrize("terminal", [True, False])
def test_the_last_line_of_a_bar(done, text, terminal) -> None:
    written = io.StringIO()
    with (
        reporting(TerminalReporter(Console(file=written, force_terminal=terminal, width=200))),
        progress("Reading", total=done, unit="videos") as bar,
    ):
        bar.advance(done)
    assert text in written.getvalue()


def test_the_last_line_in_a_log(caplog) -> None:
    with caplog.at_level("INFO"), reporting(LoggingReporter()), progress("Reading", total=1, unit="files") as bar:
        bar.advance(1)
    assert "Reading: 1 file in" in caplog.text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (93, "93 s"), (720, "12 min"), (3 * 3600 + 1800, "3.5 h"), (200_000, "55.6 h")]
)
def test_a_measured_time_in_words(seconds, text) -> None:
    assert lasting(seconds) == text


def test_slow_work_has_a_time_for_each_step(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr("marey.base.bars.time.monotonic", lambda: now[0])
    bar = Bar("Flow", total=40, unit="videos")
    bar.advance(2)
    now[0] += 100
    assert bar.line() == "Flow: 2/40, 50 s per video, 32 min left"
    assert bar.summary() == "Flow: 2 videos in 100 s (50 s per video)"
    now[0] -= 99
    assert bar.line() == "Flow: 2/40, 2.0 videos/s, 19 s left"
    assert bar.summary() == "Flow: 2 videos in 1 s (2.0/s)"


def test_a_verb_agrees_with_its_count() -> None:
    assert [verb(count, "was", "were") for count in (0, 1, 2)] == ["were", "was", "were"]
