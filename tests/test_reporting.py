"""A program that uses Marey decides where messages go: nowhere, to a reporter of its own, or to its log."""

import logging
import re
from pathlib import Path

import pytest

import marey
from marey.inference.features import features
from marey.recipes import get_recipe
from marey.weights.load import build_model
from tests.support.made_videos import coded_frame

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "reporter.md"


@pytest.fixture(scope="module")
def model():
    recipe = get_recipe("slowonly_r18_8x2_motions").variant(
        model={"width": 4, "num_classes": 2}, test={"size": 32}, pixels={"short_side": 32}
    )
    return build_model(recipe, ("jump", "run")).eval()


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current folder: three videos, one of them broken, and lists of them."""
    monkeypatch.chdir(tmp_path)
    for i in range(2):
        frames = [coded_frame(n + 7 * i) for n in range(8)]
        marey.write_video(f"v{i}.mp4", frames, fps=10, preset="ultrafast")
    Path("broken.mp4").write_text("no video")
    Path("good.csv").write_text("path,label,split\nv0.mp4,jump,train\nv1.mp4,run,val\n")
    Path("val.csv").write_text("path,label\nv0.mp4,jump\nv1.mp4,run\nbroken.mp4,run\n")
    return tmp_path


def work(model) -> None:
    """Predict, compute features, evaluate; some of it is worth a notice, and all splits at once a warning."""
    marey.predict(model, "v0.mp4")
    features(model, marey.read_videos([Path("v0.mp4"), Path("broken.mp4")]), out="features", workers=1)
    marey.evaluate(model, "good.csv", workers=0)


def test_work_reports_notices_and_progress(model, here, capsys) -> None:
    work(model)
    said = capsys.readouterr().err
    for part in ("features of", "broken file 1", "Features: 2 videos", "all splits of good.csv", "Testing: 2 videos"):
        assert part in said, part


def test_a_program_can_silence_messages(model, here, capfd) -> None:
    with marey.reporting(marey.SilentReporter()):
        work(model)
    assert capfd.readouterr() == ("", "")


def test_a_program_can_install_its_own_reporter(model, here, capfd) -> None:
    class Window(marey.SilentReporter):
        def __init__(self) -> None:
            self.notices: list[str] = []
            self.warnings: list[str] = []
            self.bars: list[marey.Bar] = []

        def notice(self, message: str) -> None:
            self.notices.append(message)

        def warning(self, message: str) -> None:
            self.warnings.append(message)

        def progress(self, title: str, *, total: int, unit: str) -> marey.Bar:
            self.bars.append(super().progress(title, total=total, unit=unit))
            return self.bars[-1]

    window = Window()
    with marey.reporting(window):
        work(model)
    assert capfd.readouterr() == ("", "")
    recipe = model.recipe.name
    first, second = window.notices
    assert re.match(rf"\d+ videos: features of {recipe} on cpu \(\d+ threads?\), float32", first)
    assert re.match(rf"\d+ videos, \d+ class(es)? \(.*\): testing {recipe} on cpu \(\d+ threads?\), float32", second)
    assert [text.partition(":")[0] for text in window.warnings] == [
        "broken file 1, set aside",
        "all splits of good.csv are tested (train, val); --split NAME takes one of them (split= in Python)",
    ]
    assert [(bar.title, bar.done, bar.total, bar.unit) for bar in window.bars] == [
        ("Features", 2, 2, "videos"),
        ("Testing", 2, 2, "videos"),
    ]


def test_a_program_can_log_messages(model, here, caplog, capfd) -> None:
    caplog.set_level(logging.INFO)
    with marey.reporting(marey.LoggingReporter(logging.getLogger("service"))):
        work(model)
    assert capfd.readouterr() == ("", "")
    words = ("features of", "testing", "broken file", "Features:", "all splits", "Testing:")
    levels = {word: record.levelname for record in caplog.records for word in words if word in record.getMessage()}
    assert levels == {
        "features of": "INFO", "broken file": "WARNING", "Features:": "INFO",
        "all splits": "WARNING", "testing": "INFO", "Testing:": "INFO",
    }  # fmt: skip


def test_the_page_s_examples_run(model, here, capsys, caplog) -> None:
    caplog.set_level(logging.INFO)
    names = {"model": model}
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)):
        exec(compile(block.replace('"val.csv"', '"val.csv", max_broken=0.5'), f"{PAGE.name}[{number}]", "exec"), names)
    printed, said = capsys.readouterr()
    assert said == ""
    assert "1 warnings" in printed
    assert "Testing 100% top-1" in printed
    assert any(record.name == "marey" and record.message.startswith("Testing: 3 videos") for record in caplog.records)
