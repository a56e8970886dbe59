"""`marey data motions` writes videos in folders of classes and splits, which `marey train` reads."""

import csv

import av
import pytest

from tests.support.command import marey


def test_it_writes_a_divided_folder_per_class(tmp_path) -> None:
    small = ("--train", 24, "--test", 12, "--size", 32, "--frames", 4, "--workers", 0)
    done = marey("data", "motions", tmp_path / "clips", *small)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'clips'}: 24 videos to train on and 12 to test on, of 12 classes.\n"
    files = sorted(path.relative_to(tmp_path / "clips") for path in (tmp_path / "clips").rglob("*.mp4"))
    assert len(files) == 36
    assert {file.parts[0] for file in files} == {"train", "test"}
    assert len({file.parts[1] for file in files}) == 12
    with av.open(str(tmp_path / "clips" / files[0])) as video:
        assert [(frame.width, frame.height) for frame in video.decode(video=0)] == [(32, 32)] * 4
    with (tmp_path / "clips" / "motions.csv").open(encoding="utf-8", newline="") as listing:
        rows = list(csv.DictReader(listing))
    assert sorted(row["path"] for row in rows) == [file.as_posix() for file in files]
    planned = marey("train", tmp_path / "clips", "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert planned.stdout.startswith("24 videos, 12 classes")
    assert "no video" not in planned.stderr  # the list and the note were written by Marey

    again = marey("data", "motions", tmp_path / "clips", *small)  # a folder that is complete is only read
    assert again.exit_code == 0, again.output
    other = marey("data", "motions", tmp_path / "clips", "--train", 36, *small[2:])
    assert other.exit_code == 1
    assert (
        "holds another run (train: there 24, here 36): resume it with the same settings, or choose another folder."
        in (other.stderr)
    )
    assert marey("data", "list", tmp_path / "clips" / "train", "--out", tmp_path / "list.csv").exit_code == 0
    mixed = marey("data", "frames", tmp_path / "list.csv", "--out", tmp_path / "clips")
    assert mixed.exit_code == 1
    assert "holds a run of `marey data motions` (motions.json)" in mixed.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--train", 25), "--train 25: expected a multiple of 12, as many as there are classes."),
        (("--test", 14), "--test 14: expected a multiple of 12, as many as there are classes."),
        (("--size", 33), "--size 33: H.264 in 4:2:0 has even sides."),
    ],
)
def test_a_wrong_number_is_refused_before_work(words, why, tmp_path) -> None:
    done = marey("data", "motions", tmp_path / "clips", *words)
    assert done.exit_code == 1
    assert why in done.stderr
    assert not (tmp_path / "clips").exists()
