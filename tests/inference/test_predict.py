"""`marey.predict` takes in Python what `marey predict` takes on the command line; one video gives one prediction."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import marey
from marey.base.reporter import CollectingReporter, reporting
from marey.classifier import Classifier
from marey.cli.app import app
from marey.data.lists.read_videos import as_videos
from marey.data.loading.limited_decoding import decode_limited
from marey.recipes import get_recipe
from marey.recipes.probe import probe_on
from marey.video.writing.writer import write_video
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model
from tests.support.made_videos import write_videos
from tests.support.tiny import RECIPE

QUICK = {"workers": 0}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Four clips in folders, a list of two of them, frames of one, and a checkpoint."""
    folder = tmp_path_factory.mktemp("predict")
    write_videos(folder / "clips", 2)
    (folder / "list.csv").write_text("path,start,end\nclips/jump/v0.mp4,,\nclips/run/v1.mp4,0,0.5\n")
    (folder / "one.txt").write_text("clips/jump/v0.mp4\n")
    for number in range(8):
        path = folder / "frames" / f"img_{number:05d}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((48, 64, 3), number, np.uint8))
    save_checkpoint(folder / "m.safetensors", build_model(RECIPE, class_names=["jump", "run"]))
    return folder


@pytest.fixture(autouse=True)
def there(place, monkeypatch) -> None:
    monkeypatch.chdir(place)


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("name", ["clips/run/v1.mp4", "frames"])
def test_one_video_gives_one_prediction(kind, name) -> None:
    found = marey.predict("m.safetensors", kind(name), **QUICK)
    assert isinstance(found, marey.Prediction)
    assert (found.path, found.error, len(found.top(5))) == (Path(name), None, 2)


ALL = ["clips/jump/v0.mp4", "clips/jump/v1.mp4", "clips/run/v0.mp4", "clips/run/v1.mp4"]


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ("clips", ALL),
        (Path("clips/run"), ALL[2:]),
        ("list.csv", [ALL[0], ALL[3]]),
        ("one.txt", ALL[:1]),
        ([ALL[0]], ALL[:1]),
        ((Path(ALL[2]), ALL[0], ALL[2]), [ALL[2], ALL[0], ALL[2]]),
        (iter(ALL), ALL),
        (np.array(ALL[:2]).tolist(), ALL[:2]),
        (["frames", "list.csv", "clips/run"], ["frames", ALL[0], ALL[3], *ALL[2:]]),
        ([], []),
    ],
    ids=["folder", "path", "list", "list of one", "one", "tuple", "iterator", "texts", "mixed", "none"],
)
def test_several_videos_give_a_list(given, paths) -> None:
    found = marey.predict("m.safetensors", given, **QUICK)
    assert type(found) is marey.Predictions
    assert [str(one.path) for one in found] == paths
    assert all(one.error is None for one in found)


def test_lists_that_were_read_and_their_entries() -> None:
    manifest, videos = marey.read_manifest("clips"), marey.read_videos("list.csv")
    assert [one.id for one in marey.predict("m.safetensors", manifest, **QUICK)] == [one.id for one in manifest]
    assert [one.end for one in marey.predict("m.safetensors", videos, **QUICK)] == [None, 0.5]
    one = marey.predict("m.safetensors", videos[1], **QUICK)
    assert isinstance(one, marey.Prediction)
    assert one.video is videos[1] or one.video == videos[1]
    assert one.top(2) == marey.predict("m.safetensors", "list.csv", **QUICK)[1].top(2)
    several = marey.predict("m.safetensors", [videos[1], ALL[0], manifest[3]], **QUICK)
    assert [(str(one.path), one.end) for one in several] == [(ALL[3], 0.5), (ALL[0], None), (ALL[3], None)]
    assert marey.predict("m.safetensors", manifest[0], **QUICK).video == manifest[0]


def test_a_segment_by_frames_is_one_video() -> None:
    (Path("framed.csv")).write_text(f"path,start_frame,end_frame\n{ALL[0]},2,6\n{ALL[1]},3,\n")
    videos = marey.read_videos("framed.csv")
    again = as_videos([videos[0], videos[1], ALL[2]])
    assert [(one.start_frame, one.end_frame) for one in again] == [(2, 6), (3, None), (None, None)]
    assert [one.id for one in again] == [*(one.id for one in videos), ALL[2]]


def test_a_root_is_for_lists() -> None:
    os.makedirs("elsewhere", exist_ok=True)  # noqa: PTH103
    Path("elsewhere/list.txt").write_text("jump/v0.mp4\n")
    (found,) = marey.predict("m.safetensors", "elsewhere/list.txt", root="clips", **QUICK)
    assert found.error is None
    assert len(marey.features("m.safetensors", "elsewhere/list.txt", root="clips", out="f", **QUICK)) == 1
    for given in ("clips", [ALL[0]], marey.read_videos("clips")):
        with pytest.raises(marey.DataError, match="root"):
            marey.predict("m.safetensors", given, root="clips")


def test_a_model_is_a_classifier_a_file_or_a_recipe() -> None:
    model = marey.load_model("m.safetensors")
    expected = marey.predict(model, ALL[0], **QUICK).top(2)
    assert marey.predict(Path("m.safetensors"), ALL[0], **QUICK).top(2) == expected
    for call in (marey.predict, marey.evaluate, marey.features):
        with pytest.raises(
            marey.WeightsError, match="tiny"
        ):  # the error of load_model(recipe): there are no such weights
            call(RECIPE, "clips", **QUICK)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, r"got 3 \(type int\)"),
        (None, r"got None \(type NoneType\)"),
        (b"content", r"got its content \(type bytes\)"),
        (np.zeros((8, 48, 64, 3), np.uint8), r"got its content \(type ndarray\)"),
        ([3], r"got 3 \(type int\)"),
        ("", "a path is empty"),
        ([""], "a path is empty"),
        ("none.csv", r"none\.csv: no such file"),
        ("empty", "no video files in this folder"),
        (["clips", "empty"], "no video files in this folder"),
    ],
)
def test_an_argument_without_videos_is_refused_before_a_model_is_read(given, words) -> None:
    os.makedirs("empty", exist_ok=True)  # noqa: PTH103
    with pytest.raises(marey.DataError, match=words):
        marey.predict("no-such-model", given)


def test_an_open_video_is_refused_with_its_path() -> None:
    with marey.open_video(ALL[0]) as video, pytest.raises(marey.DataError, match=f"give its path: '{ALL[0]}'"):
        marey.predict("m.safetensors", video)


def test_a_single_missing_video_is_an_error_and_one_of_several_is_reported() -> None:
    with pytest.raises(marey.DecodeError, match=r"^none\.mp4: no such file$"):
        marey.predict("m.safetensors", "none.mp4", **QUICK)
    found = marey.predict("m.safetensors", ["none.mp4", ALL[0]], **QUICK)
    assert [one.error for one in found] == ["none.mp4: no such file", None]
    assert found.broken == found[:1]


def test_swapped_arguments_are_detected() -> None:
    with pytest.raises(marey.DataError, match=r"^model: clips/jump/v0\.mp4 is a video; the model comes first"):
        marey.predict(ALL[0], "m.safetensors")


def test_a_million_paths_are_not_checked(monkeypatch) -> None:
    monkeypatch.setattr("marey.data.lists.read_videos.os.path.isdir", lambda path: pytest.fail("looked at"))
    assert len(as_videos(f"videos/{i}.mp4" for i in range(1_000_000))) == 1_000_000


def test_several_videos_show_progress() -> None:
    with reporting(kept := CollectingReporter()):
        marey.predict("m.safetensors", ALL[0], **QUICK)
    assert kept.take() == []


def test_evaluate_reads_lists_as_the_command_does() -> None:
    Path("split.csv").write_text(
        "path,label,split\nclips/jump/v0.mp4,jump,val\nclips/run/v0.mp4,run,val\nclips/run/v1.mp4,run,train\n"
    )
    assert marey.evaluate("m.safetensors", "split.csv", split="val", **QUICK).num_videos == 2
    manifest = marey.read_manifest("split.csv")
    assert marey.evaluate("m.safetensors", manifest, split="train", **QUICK).num_videos == 1
    assert marey.evaluate("m.safetensors", manifest, **QUICK).num_videos == 3
    with pytest.raises(marey.DataError, match=r"^data is read already: leave out root=, classes="):
        marey.evaluate("m.safetensors", manifest, root="clips", classes=["jump", "run"])
    with pytest.raises(marey.DataError, match=r"^data: .* not a VideoList: marey\.read_manifest"):
        marey.evaluate("m.safetensors", marey.read_videos("clips"))


def test_features_without_a_folder_use_the_next_free_one() -> None:
    for number in (1, 2):
        found = marey.features("m.safetensors", ALL[:1], **QUICK)
        assert found.out == Path(f"runs/m-features-{number}")
    model = marey.load_model("m.safetensors")
    assert marey.features(model, "one.txt", **QUICK).out == Path("runs/tiny-features-1")


def test_features_without_out_refuse_an_argument_that_is_no_model() -> None:
    with pytest.raises(marey.RecipeError, match=r"^expected a marey\.Classifier, got 42"):
        marey.features(42, "clips")


@pytest.fixture
def probe() -> Classifier:
    """A small classifier on pairs of frames spread over the video."""
    frames = get_recipe("tsn_lite0_8seg_folder_imagenet").variant(
        name="tiny", pretraining=None, model={"width": 8}, pixels={"short_side": 40}, test={"size": 32}
    )
    return build_model(probe_on(frames))


@pytest.fixture
def clip_probe() -> Classifier:
    """A small classifier on a network of clips."""
    clips = get_recipe("tsm_lite0_8seg_folder_imagenet").variant(
        name="tiny", pretraining=None, model={"width": 8}, pixels={"short_side": 40}, test={"size": 32}
    )
    return build_model(probe_on(clips))


def film(path: Path, seconds: int) -> str:
    """A video of two frames a second."""
    write_video(path, np.zeros((2 * seconds, 32, 32, 3), np.uint8), fps=2)
    return str(path)


def test_long_videos_are_counted_in_a_notice(probe, tmp_path) -> None:
    long, longer, short = (film(tmp_path / f"{length}.mp4", length) for length in (24, 60, 16))
    with reporting(said := CollectingReporter()):
        marey.predict(probe, [long, longer, short], **QUICK)
    (line,) = [message for _, message in said.take() if "longer than" in message]
    assert line == (
        "2 of 3 videos are longer than 20 s and predicted from 8 frame pairs spread over the length: short actions may be "
        "missed. A list with the columns path, start, end has one prediction per segment."
    )
    with reporting(said := CollectingReporter()):
        marey.predict(probe, longer, **QUICK)
        marey.predict(probe, short, **QUICK)
    assert [message.split(" and ")[0] for _, message in said.take() if "longer than" in message] == [
        "the video is longer than 20 s"
    ]


def test_long_videos_are_counted_for_a_network_of_clips_too(clip_probe, tmp_path) -> None:
    with reporting(said := CollectingReporter()):
        marey.predict(clip_probe, film(tmp_path / "long.mp4", 24), **QUICK)
    (line,) = [message for _, message in said.take() if "longer than" in message]
    assert line.startswith("the video is longer than 20 s and predicted from 1 clip of 8 frames: short actions")


def test_segments_of_a_long_video_are_not_called_long(probe, tmp_path) -> None:
    film(tmp_path / "film.mp4", 40)
    (tmp_path / "parts.csv").write_text("path,start,end\nfilm.mp4,0,10\nfilm.mp4,20,40\n")
    with reporting(said := CollectingReporter()):
        marey.predict(probe, tmp_path / "parts.csv", **QUICK)
    assert not [message for _, message in said.take() if "longer than" in message]


def test_long_segments_are_counted_without_the_advice_to_list_segments(probe, tmp_path) -> None:
    film(tmp_path / "film.mp4", 60)
    (tmp_path / "parts.csv").write_text("path,start,end\nfilm.mp4,0,30\nfilm.mp4,30,40\n")
    with reporting(said := CollectingReporter()):
        marey.predict(probe, tmp_path / "parts.csv", **QUICK)
    (line,) = [message for _, message in said.take() if "longer than" in message]
    assert line.startswith("1 of 2 videos is longer than 20 s and predicted from")
    assert line.endswith("short actions may be missed.")


def test_evaluation_counts_long_videos_too(probe, tmp_path) -> None:
    for label in ("jump", "run"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        film(tmp_path / "clips" / label / "a.mp4", 24 if label == "run" else 4)
    with reporting(said := CollectingReporter()):
        marey.evaluate(probe.with_classes(["jump", "run"]), tmp_path / "clips", **QUICK)
    (line,) = [message for _, message in said.take() if "longer than" in message]
    assert line.startswith("1 of 2 videos is longer than 20 s and predicted from 8 frame pairs spread")


def test_predictions_have_the_order_of_the_list_whichever_video_is_decoded_first(monkeypatch) -> None:
    def backwards(*args, **options):
        found = list(decode_limited(*args, **options))
        return (one for one in found[::-1])

    expected = list(marey.predict_many("m.safetensors", "clips", **QUICK))
    monkeypatch.setattr("marey.inference.predict.decode_limited", backwards)
    found = list(marey.predict_many("m.safetensors", "clips", **QUICK))
    assert [str(one.path) for one in found] == ALL
    for mine, same in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine.probabilities, same.probabilities)


def test_limits_of_decoding_are_those_of_the_caller(monkeypatch) -> None:
    seen = []

    def noting(*args, limits, **options):
        seen.append(limits)
        return decode_limited(*args, limits=limits, **options)

    monkeypatch.setattr("marey.inference.predict.decode_limited", noting)
    own = marey.Limits(seconds=300, memory=2_000_000_000)
    list(marey.predict_many("m.safetensors", "clips", limits=own, **QUICK))
    marey.predict("m.safetensors", "clips", limits=own, **QUICK)
    marey.predict("m.safetensors", "clips", **QUICK)
    words = ("clips", "--workers", "1", "--decode-seconds", "300", "--decode-memory", "2")
    done = CliRunner().invoke(app, ["predict", "m.safetensors", *words])
    assert done.exit_code == 0 and "without limits" not in done.stderr
    assert seen == [own, own, marey.Limits(), own]


@pytest.mark.parametrize("words", [(ALL[0],), ("clips", "--workers", "0")])
def test_a_notice_says_if_limits_do_not_apply(words) -> None:
    done = CliRunner().invoke(app, ["predict", "m.safetensors", *words, "--decode-seconds", "9"])
    assert done.exit_code == 0 and "--decode-seconds: one video alone" in done.stderr
