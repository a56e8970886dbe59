"""The page of a test: its content, order and size, and that it loads nothing from elsewhere."""

import itertools
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from marey.data.files.quarantine import Broken
from marey.data.lists.manifest import Manifest, make_manifest
from marey.evaluation.protocol import EvaluationProtocol
from marey.evaluation.report.doubtful_labels import confidently_wrong, equal_files_with_other_labels
from marey.evaluation.report.page import write_report
from marey.evaluation.result import EvaluationResult
from marey.evaluation.run import evaluate
from marey.evaluation.scores import Scores
from marey.video.writing.writer import write_video
from marey.weights.load import build_model
from tests.support.made_videos import coded_frame, write_videos
from tests.support.tiny import RECIPE

EVIL = """<script>alert("x")</script>"""


class Page(HTMLParser):
    """The content of a page: addresses that a browser would load, tags, and text outside of styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        if tag == "img":
            self.images.append(named)
        # Links are loaded when a person follows them; everything else when the page is opened.
        names = ("src", "srcset", "data", "poster", "background", *(() if tag == "a" else ("href",)))
        self.asked += [str(named[name]) for name in names if name in named]


def noise(folder: Path) -> Path:
    """A video that JPEG and H.264 compress badly."""
    random = np.random.default_rng(0)
    frames = (random.integers(0, 256, (240, 320, 3), dtype=np.uint8) for _ in range(12))
    write_video(folder / "noise.mp4", frames, fps=6, preset="ultrafast")
    return folder / "noise.mp4"


def made(folder: Path, classes: int, videos: int, video: Path, first: str = EVIL) -> tuple[Scores, Manifest]:
    """Scores of which 60 % are right, and a list of as many files with the same content."""
    random = np.random.default_rng(0)
    names = (first, *(f"class {k:03d} with quite a long name" for k in range(1, classes)))
    labels = random.integers(0, classes, videos)
    answers = np.where(random.random(videos) < 0.6, labels, (labels + random.integers(1, 4, videos)) % classes)
    probabilities = random.random((videos, classes), np.float32) * 0.1
    probabilities[np.arange(videos), answers] = 3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    ids = tuple(f"{first.replace('/', '')}{row}.mp4" for row in range(videos))
    for name in ids:
        (folder / name).hardlink_to(video)
    rows = [(name, names[label]) for name, label in zip(ids, labels.tolist(), strict=True)]
    manifest = make_manifest(rows, root=folder, source="list.csv", classes=names)
    groups = np.array([f"g{row // 9}" for row in range(videos)])
    return Scores(ids, labels, probabilities, names, EvaluationProtocol(recipe="tiny"), groups=groups), manifest


@pytest.mark.parametrize("classes", [30, 400])
def test_a_thousand_videos_give_a_small_page(classes, tmp_path) -> None:
    """Filmstrips of noise, names that must be escaped, and 2,000 broken files."""
    scores, manifest = made(tmp_path, classes, 1000, noise(tmp_path))
    broken = tuple(Broken(f"{EVIL}{n}", "x", f"{EVIL}{n}: not a video") for n in range(2000))
    EvaluationResult(scores, broken).save(tmp_path)
    path = write_report(tmp_path, manifest)
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 5_000_000
    page = Page(text)
    assert "script" not in page.tags
    assert "<b>&lt;script&gt;" in text
    assert 10 < len(page.images) <= 20
    assert len({image["alt"] for image in page.images}) == len(page.images)  # no video twice
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.asked)
    assert not re.search(r"url\(|@import|https?://", text)
    assert "1,000" in text
    assert "(over 112 groups)" in text
    assert "1,900 more are in result.json" in text
    # Of many classes the worst are shown and the others folded; a matrix of 400 rows would be unreadable.
    assert ("the other 34" in text or "the other 35" in text) == (classes == 400)
    assert ('class="heat' in text) == (classes == 30)


def test_it_has_headings_in_order_and_headers_of_tables(tmp_path) -> None:
    scores, manifest = made(tmp_path, 3, 20, noise(tmp_path), first="run")
    EvaluationResult(scores).save(tmp_path)
    text = write_report(tmp_path, manifest).read_text(encoding="utf-8")
    page = Page(text)
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all(re.search(r"<th scope=", table) for table in re.findall(r"<table>.*?</table>", text, re.DOTALL))
    assert all(image["alt"] for image in page.images)
    assert 'role="img" aria-label="confusion matrix"' in text
    assert '<html lang="en">' in text
    assert text.index("Protocol of the test") > text.index("Class by class")
    assert "<details><summary>Protocol of the test" in text


def test_its_colours_have_contrast_in_light_and_dark_mode(tmp_path) -> None:
    """WCAG 2.1, 1.4.3: a contrast of at least 4.5 between text and background."""
    scores, manifest = made(tmp_path, 3, 4, noise(tmp_path), first="run")
    EvaluationResult(scores).save(tmp_path)
    text = write_report(tmp_path, manifest).read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--(\w+): (#\w{6})", rule)) for rule in re.findall(r":root \{ --ink.*?\}", text))
    assert "@media screen and (prefers-color-scheme: dark)" in text  # prints are always light

    def luminance(colour: str) -> float:
        parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    for colours in (light, dark):
        for ink, behind in [(ink, behind) for ink in ("ink", "soft", "a", "b", "good") for behind in ("page", "card")]:
            one, other = sorted((luminance(colours[ink]), luminance(colours[behind])))
            assert (other + 0.05) / (one + 0.05) >= 4.5, (ink, behind)


def test_it_has_layouts_for_phones_and_for_print(tmp_path) -> None:
    scores, manifest = made(tmp_path, 3, 4, noise(tmp_path), first="run")
    EvaluationResult(scores).save(tmp_path)
    text = write_report(tmp_path, manifest).read_text(encoding="utf-8")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert "@media screen and (max-width: 760px)" in text
    assert re.search(r"@media print \{.*details::details-content \{ content-visibility: visible", text, re.DOTALL)


@pytest.fixture(scope="module")
def four(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("four")
    for i in range(3):
        write_video(folder / f"v{i}.mp4", [coded_frame(n + 7 * i) for n in range(12)], fps=10, preset="ultrafast")
    shutil.copy(folder / "v0.mp4", folder / "copy.mp4")
    return folder


NAMES = ("v0.mp4", "v1.mp4", "v2.mp4", "copy.mp4")


def of_four(folder: Path, labels: list[int], **how: object) -> tuple[Scores, Manifest]:
    """Predictions of "run" with 95, 95, 80 and 95 %."""
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.8, 0.2], [0.95, 0.05]], np.float32)
    rows = [(name, ("run", "jump")[label]) for name, label in zip(NAMES, labels, strict=True)]
    manifest = make_manifest(rows, root=folder, source="", classes=("run", "jump"), **how)
    return Scores(tuple(sample.id for sample in manifest), np.array(labels), probabilities, ("run", "jump")), manifest


def test_confident_wrong_predictions_make_labels_doubtful(four, tmp_path) -> None:
    scores, manifest = of_four(four, [0, 1, 1, 0])
    (found,) = confidently_wrong(scores)
    assert (found.id, found.labels, found.reason) == ("v1.mp4", "jump", "answered 'run' with 95.0 %")
    scores.save(tmp_path / "scores.npz")
    text = write_report(tmp_path, manifest).read_text(encoding="utf-8")
    assert "Another class has a probability of 90 % or more" in text
    assert "equal files, different labels" in text
    assert "equal files, different labels" not in write_report(tmp_path).read_text(encoding="utf-8")  # not checked


def test_equal_files_with_different_labels_are_doubtful(four) -> None:
    assert equal_files_with_other_labels(*of_four(four, [0, 1, 1, 0])) == []
    found = equal_files_with_other_labels(*of_four(four, [0, 1, 1, 1]))
    assert [(one.id, one.labels, one.reason) for one in found] == [
        ("v0.mp4", "run", "equal in content to copy.mp4, whose label is 'jump'"),
        ("copy.mp4", "jump", "equal in content to v0.mp4, whose label is 'run'"),
    ]
    apart = of_four(four, [0, 1, 1, 1], times=[(0, 0.5), (0, 1), (0, 1), (0.5, 1)])
    assert equal_files_with_other_labels(*apart) == []  # other segments of a file may show something else
    same = of_four(four, [0, 1, 1, 1], times=[(0, 0.5), (0, 1), (0, 1), (0, 0.5)])
    assert len(equal_files_with_other_labels(*same)) == 2


def test_scores_have_the_groups_of_the_list(tmp_path) -> None:
    folder = write_videos(tmp_path / "videos", 3)
    rows = [(f"{name}/v{i}.mp4", name) for name in ("jump", "run") for i in range(3)]
    model = build_model(RECIPE)

    def groups(**how: object) -> list[str] | None:
        found = evaluate(model, make_manifest(rows, root=folder, source="", **how), out=None, workers=0).scores.groups
        return None if found is None else found.tolist()

    assert groups(groups=["a", "b", "c", "a", "b", "c"]) == ["a", "b", "c", "a", "b", "c"]
    assert groups() is None
    assert groups(groups=[""] * 6) is None
    assert groups(times=[(0.0, 0.3)] * 6) is None  # one segment of each file
    parts = make_manifest(
        [rows[0], rows[0], rows[1]],
        root=folder,
        source="",
        classes=["jump", "run"],
        times=[(0, 0.3), (0.3, 0.6), (0, 1)],
    )
    assert evaluate(model, parts, workers=0).scores.groups.tolist() == ["jump/v0.mp4", "jump/v0.mp4", "jump/v1.mp4"]
