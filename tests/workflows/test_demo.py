"""The demo at the smallest size: its story, its plan, and going on; what it learns is in test_learning."""

import os
import subprocess
import sys

import pytest

from marey.base.errors import RunError
from marey.recipes.motions import DEMO_SIZES, MOTIONS_SLOWONLY
from marey.workflows.demo import _in_words, run_demo
from marey.workflows.pace import Pace

TINY = ({"train": 24, "test": 12, "size": 72, "frames": 20}, {"train": 36, "test": 12, "size": 72, "frames": 20})


def test_demo_tells_what_it_does(tmp_path, capsys) -> None:
    out = tmp_path / "demo"
    result = run_demo(out, workers=0, sizes=TINY[:1])
    said = capsys.readouterr().err
    assert result.num_videos == 12
    assert (out / "report.html").read_text().count("animation-duration") >= 12
    for part in ("1/4", "2/4", "3/4", "4/4", "24 videos to learn from and 12 to be tested on", "left/right"):
        assert part in said, part
    with pytest.raises(RunError, match="holds another run"):
        run_demo(out, workers=0, sizes=TINY[:1])


def test_what_is_printed_can_be_typed(tmp_path, capsys) -> None:
    out = tmp_path / "demo"
    run_demo(out, network="tsn", workers=0, sizes=TINY[:1])
    printed = capsys.readouterr().out
    (line,) = (line for line in printed.splitlines() if line.startswith("  marey predict"))
    words = line.split()
    assert words[2] == str(out / "last.safetensors")
    assert all(os.path.exists(word) for word in words[2:])  # noqa: PTH110
    assert "inside the mirrored pairs" in printed
    assert "marey demo --network slowonly" in printed


def test_a_stopped_demo_goes_on_with_the_videos_that_it_began(tmp_path, capsys) -> None:
    """A second measurement may find another size right; the videos that are there decide."""
    from marey.data.motions import write_motions

    write_motions(tmp_path / "videos", **TINY[0], workers=0)
    run_demo(tmp_path, workers=0, sizes=TINY[1:])
    assert "24 videos to learn from" in capsys.readouterr().err


def pace(train: float, cores: int = 2) -> Pace:
    return Pace(write=0.01, decode=0.004, train=train, cores=cores, workers=cores)


def test_a_slow_machine_gets_less_to_do() -> None:
    chosen = [pace(train).choose(MOTIONS_SLOWONLY, DEMO_SIZES, seconds=200) for train in (0.001, 0.008, 0.015, 1.0)]
    counts = [data["train"] for data in chosen]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == DEMO_SIZES[-1]["train"]
    assert counts[-2:] == [DEMO_SIZES[0]["train"]] * 2
    one, two = (pace(0.008, cores).seconds(MOTIONS_SLOWONLY, DEMO_SIZES[0]) for cores in (1, 2))
    assert one > two


@pytest.mark.parametrize(
    ("seconds", "words"), [(2, "5 seconds"), (61, "60 seconds"), (100, "1.5 minutes"), (130, "2 minutes")]
)
def test_times_in_words(seconds, words) -> None:
    assert _in_words(seconds) == words


@pytest.mark.parametrize(("given", "kept"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_of_the_command_sleep_while_they_wait(given, kept) -> None:
    """OpenMP reads the variable when torch is loaded: the command sets it before, unless the user did."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    code = (
        "import os, sys; sys.argv = ['marey', '--help']\n"
        "from marey.__main__ import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    print('POLICY', os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert f"POLICY {kept} False" in done.stdout
