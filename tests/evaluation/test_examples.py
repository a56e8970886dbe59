"""Right and wrong predictions in the report, with filmstrips inside the page."""

import base64
import re

import cv2
import numpy as np
import pytest

from marey.data.lists.manifest import Manifest, make_manifest
from marey.data.lists.read_manifest import read_manifest
from marey.data.lists.videos import VideoEntry
from marey.evaluation.protocol import EvaluationProtocol
from marey.evaluation.report.examples import FILMSTRIP_FRAMES, Example, Examples, choose_examples, filmstrip_of
from marey.evaluation.report.page import write_report
from marey.evaluation.scores import Scores
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame

CLASSES = ("fall", "jump", "run")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers")
    for i in range(12):
        write_video(folder / f"v{i}.mp4", [coded_frame(n + 7 * i) for n in range(30)], fps=10, preset="ultrafast")
    return folder


def single(folder, wrong: tuple[int, ...]) -> tuple[Scores, Manifest]:
    """Twelve videos of three classes; those in `wrong` are predicted as the next class, later ones with a lower
    probability of their own.
    """
    labels = np.arange(12) % 3
    probabilities = np.full((12, 3), 0.1, np.float32)
    probabilities[np.arange(12), labels] = 0.8
    for row in wrong:
        probabilities[row] = 0.05
        probabilities[row, labels[row]] = 0.2 - 0.01 * row
        probabilities[row, (labels[row] + 1) % 3] = 0.75 + 0.01 * row
    ids = tuple(f"v{i}.mp4" for i in range(12))
    manifest = make_manifest(
        [(f"v{i}.mp4", CLASSES[i % 3]) for i in range(12)], root=folder, source="", classes=CLASSES
    )
    return Scores(ids, labels, probabilities, CLASSES, EvaluationProtocol(recipe="tiny")), manifest


def wrong_of(chosen: Examples) -> list[Example]:
    return [card for kind in chosen.confusions for card in kind.examples]


def test_right_ones_are_spread_over_classes_and_wrong_ones_sorted(folder) -> None:
    scores, manifest = single(folder, wrong=(1, 4, 7, 8))
    chosen = choose_examples(scores, manifest, right=3, wrong=3)
    assert (chosen.right_count, chosen.wrong_count) == (8, 4)
    assert [one.labels for one in chosen.right] == [("fall",), ("jump",), ("run",)]
    assert all(one.labels == (one.predicted,) and one.score == one.own for one in chosen.right)
    first, second = chosen.confusions
    assert (first.true, first.predicted, first.count) == ("jump", "run", 3)
    assert (second.true, second.predicted, second.count) == ("run", "fall", 1)
    assert [[one.id for one in kind.examples] for kind in (first, second)] == [["v7.mp4", "v4.mp4"], ["v8.mp4"]]
    assert [(*one.labels, one.predicted) for one in wrong_of(chosen)] == [
        ("jump", "run"),
        ("jump", "run"),
        ("run", "fall"),
    ]
    assert (second.examples[0].own, second.examples[0].score) == pytest.approx((0.12, 0.83))
    more = choose_examples(scores, manifest, right=100, wrong=100)
    assert len([*more.right, *wrong_of(more)]) == len({one.id for one in (*more.right, *wrong_of(more))}) == 12


def test_many_classes_give_few_examples(folder) -> None:
    """Of 300 classes with one right prediction each, the examples are spread over the list."""
    names = tuple(f"class {k:03d}" for k in range(300))
    ids = tuple(f"missing/{k}.mp4" for k in range(300))
    scores = Scores(ids, np.arange(300), np.eye(300, dtype=np.float32), names)
    manifest = make_manifest(list(zip(ids, names, strict=True)), root=folder, source="", classes=names)
    chosen = choose_examples(scores, manifest)
    assert len(chosen.right) == 8
    assert (chosen.right[0].labels, chosen.right[-1].labels) == (("class 000",), ("class 299",))
    assert not chosen.confusions
    scores = Scores(ids, np.arange(300), np.roll(np.eye(300, dtype=np.float32), 1, axis=1), names)
    chosen = choose_examples(scores, manifest)
    assert [(kind.count, len(kind.examples)) for kind in chosen.confusions] == [(1, 1)] * 6


def test_one_video_and_one_class(folder) -> None:
    manifest = make_manifest([("v0.mp4", "run")], root=folder, source="")
    scores = Scores(("v0.mp4",), np.zeros(1, np.int64), np.ones((1, 1), np.float32), ("run",))
    assert [one.predicted for one in choose_examples(scores, manifest).right] == ["run"]


def frames_of(uri: str) -> list[np.ndarray]:
    encoded = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    strip = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    return np.split(strip, FILMSTRIP_FRAMES, axis=1)


def test_a_filmstrip_shows_the_video_from_first_to_last_frame(tmp_path) -> None:
    """Frames that become lighter; and the segment from 1 s to 2 s of them."""
    write_video(tmp_path / "a.mp4", [np.full((48, 72, 3), 40 + 6 * n, np.uint8) for n in range(30)], fps=10)
    film = filmstrip_of(VideoEntry("a", tmp_path / "a.mp4"))
    light = [frame.mean() for frame in frames_of(film.uri)]
    assert (film.width, film.height, film.seconds) == (72, 48, 3.0)
    assert film.duration == pytest.approx(3.0)
    assert light == pytest.approx(40 + 6 * np.linspace(0, 29, FILMSTRIP_FRAMES).round(), abs=3)
    part = filmstrip_of(VideoEntry("a", tmp_path / "a.mp4", start=1.0, end=2.0))
    light = [frame.mean() for frame in frames_of(part.uri)]
    assert (light[0], light[-1]) == (pytest.approx(100, abs=3), pytest.approx(154, abs=3))
    assert (part.seconds, part.duration) == (1.2, pytest.approx(1.0))


def test_a_long_video_is_shown_in_seconds_and_few_bytes(tmp_path) -> None:
    """The worst case for JPEG, frames of noise: the twenty filmstrips of a page are below 4 MB."""
    random = np.random.default_rng(0)
    frames = (random.integers(0, 256, (360, 640, 3), dtype=np.uint8) for _ in range(24))
    write_video(tmp_path / "a.mp4", frames, fps=1, preset="ultrafast")
    film = filmstrip_of(VideoEntry("a", tmp_path / "a.mp4"))
    assert (film.seconds, film.duration) == (3.0, pytest.approx(24))
    assert 20 * len(film.uri) < 4_000_000


def test_the_page(folder, tmp_path) -> None:
    """Each clip is marked in words, without script or request, and does not move where motion is unwanted."""
    scores, manifest = single(folder, wrong=(1, 4))
    scores.save(tmp_path / "scores.npz")
    page = write_report(tmp_path, manifest).read_text()
    assert page.startswith("<!doctype html>")
    assert page.count("✓ right") == 8
    assert page.count("✗ wrong") == 2
    assert page.count("data:image/jpeg;base64,") == 10
    assert "10 right" in page
    assert "8 of them here" in page
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["'](?!data:|#)|url\(|@import""", page)
    assert re.search(r"prefers-reduced-motion: reduce\) { \.film \* { animation: none", page)
    assert re.search(r"@media print {.*\.film \* { animation: none", page)
    parts = ("Confusions", "Answered right", "Broken and suspicious files", "Class by class", "How it was made")
    assert re.findall(r"<h2>(.*?)</h2>", page) == list(parts)
    assert page.index('class="verdict"') < page.index('class="numbers"') < page.index("<h2>")
    assert 'jump <span class="soft">taken for</span> run' in page
    without = write_report(tmp_path).read_text()
    assert "✗ wrong" not in without
    assert "no examples are shown" in without


def test_missing_and_broken_files_have_an_example_without_a_filmstrip(folder, tmp_path) -> None:
    scores, _ = single(folder, wrong=(1,))
    for i in range(12):
        (tmp_path / f"v{i}.mp4").write_bytes((folder / f"v{i}.mp4").read_bytes())
    (tmp_path / "v1.mp4").unlink()
    (tmp_path / "v3.mp4").write_bytes(b"broken")
    manifest = make_manifest(
        [(f"v{i}.mp4", CLASSES[i % 3]) for i in range(12)], root=tmp_path, source="", classes=CLASSES
    )
    chosen = choose_examples(scores, manifest, right=12)
    assert {one.id for one in (*chosen.right, *wrong_of(chosen)) if one.filmstrip is None} == {"v1.mp4", "v3.mp4"}
    scores.save(tmp_path / "scores.npz")
    assert "the file cannot be read" in write_report(tmp_path, manifest).read_text()


def test_several_labels(folder, tmp_path) -> None:
    """Right if all labels of a video score above all other classes; the lowest of its labels counts as its probability."""
    labels = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 1], [1, 0, 0]])
    probabilities = np.array([[0.9, 0.6, 0.3], [0.7, 0.8, 0.2], [0.5, 0.4, 0.9], [0.3, 0.6, 0.4]], np.float32)
    ids = tuple(f"v{i}.mp4" for i in range(4))
    words = ["|".join(name for name, there in zip(CLASSES, row, strict=True) if there) for row in labels.tolist()]
    (tmp_path / "list.csv").write_text(
        "path,label\n" + "".join(f"{folder / name},{word}\n" for name, word in zip(ids, words, strict=True))
    )
    manifest = read_manifest(tmp_path / "list.csv")
    scores = Scores(tuple(manifest.ids.tolist()), labels, probabilities, CLASSES)
    chosen = choose_examples(scores, manifest)
    assert [one.labels for one in chosen.right] == [("fall", "jump"), ("fall", "jump", "run")]
    wrong = sorted(wrong_of(chosen), key=lambda card: card.own)
    assert [(one.labels, one.predicted) for one in wrong] == [(("jump", "run"), "fall"), (("fall",), "jump")]
    assert {(kind.true, kind.predicted) for kind in chosen.confusions} == {("run", "fall"), ("fall", "jump")}
    assert [number for one in wrong for number in (one.own, one.score)] == pytest.approx([0.2, 0.7, 0.3, 0.6])
    scores.save(tmp_path / "scores.npz")
    page = write_report(tmp_path, manifest).read_text()
    assert page.count("✗ wrong") == 2
    assert 'is <b>jump, run</b> <span class="soft">20.0 %</span><br>\nanswer <b>fall</b> 70.0 %' in page
