"""The demo at the smallest size: its output, its plan, and resuming; what it learns is in test_learning."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from marey.base.errors import DataError, RunError
from marey.data.motions import write_motions
from marey.recipes.motions import DEMO_SIZES, MOTIONS_SLOWONLY, MOTIONS_TSN
from marey.workflows.demo import _in_words, _verdict, run_demo
from marey.workflows.training_time import MachineSpeed

TINY = ({"train": 24, "test": 12, "size": 72, "frames": 20}, {"train": 36, "test": 12, "size": 72, "frames": 20})


def test_demo_prints_its_steps(tmp_path, capsys) -> None:
    out = tmp_path / "demo"
    result = run_demo(out, workers=0, sizes=TINY[:1])
    said = capsys.readouterr().err
    assert result.num_videos == 12
    assert (out / "report.html").read_text().count("animation-duration") >= 12
    for part in ("1/4", "2/4", "3/4", "4/4", "24 videos to learn from and 12 to be tested on", "left/right"):
        assert part in said, part
    with pytest.raises(RunError, match="holds another run"):
        run_demo(out, workers=0, sizes=TINY[:1])


def test_printed_commands_can_be_run(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/marey", "demo"])
    monkeypatch.setattr("shutil.which", lambda name: None)  # the environment is not activated, as after `make demo`
    out = tmp_path / "demo"
    run_demo(out, network="tsn", workers=0, sizes=TINY[:1])
    printed, said = capsys.readouterr()
    (line,) = (line for line in said.splitlines() if " predict " in line)
    program, _, *files = line.split()
    assert program == "/somewhere/bin/marey"
    assert files[0] == str(out / "last.safetensors")
    assert all(Path(file).exists() for file in files)
    assert "(guessing: 50 %): it sees single frames" in printed
    assert "demo --network slowonly" in said


def test_the_verdict_follows_the_result() -> None:
    assert _verdict(0.99, MOTIONS_SLOWONLY) == "it sees the motion"
    assert "has not learnt" in _verdict(0.6, MOTIONS_SLOWONLY)
    assert "single frames" in _verdict(0.5, MOTIONS_TSN)


def test_a_demo_that_stopped_while_writing_is_resumed(tmp_path, capsys) -> None:
    """A second measurement may find another size right; the videos that are there decide."""
    write_motions(tmp_path / "videos", **TINY[0], workers=0, seed=3)
    run_demo(tmp_path, workers=0, sizes=TINY[1:], resume=True)
    assert "24 videos to learn from" in capsys.readouterr().err
    assert json.loads((tmp_path / "run.json").read_text())["seed"] == 3


def test_a_demo_that_stopped_while_training_is_resumed_with_its_network(tmp_path, monkeypatch) -> None:
    class CutError(Exception):
        """Simulates a crash."""

    def crash(*args: object, **options: object) -> None:
        raise CutError

    with monkeypatch.context() as patched:
        patched.setattr("marey.workflows.demo.evaluate_last_checkpoint", crash)
        with pytest.raises(CutError):
            run_demo(tmp_path, network="tsn", seed=2, workers=0, sizes=TINY[:1])
    recipe = (tmp_path / "recipe.yaml").read_bytes()
    with pytest.raises(RunError, match="holds another run"):
        run_demo(tmp_path, network="slowonly", workers=0, sizes=TINY[:1], resume=True)
    assert (tmp_path / "recipe.yaml").read_bytes() == recipe
    run_demo(tmp_path, workers=0, sizes=TINY[:1], resume=True)
    assert (tmp_path / "report.html").exists()
    assert (tmp_path / "recipe.yaml").read_bytes() == recipe


def test_a_demo_that_cannot_be_resumed_or_shared_is_refused(tmp_path, monkeypatch) -> None:
    with pytest.raises(RunError, match="no demo to resume"):
        run_demo(tmp_path, resume=True)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "motions.json").write_text('{"train": 24')
    with pytest.raises(DataError, match=r"motions\.json: no JSON object"):
        run_demo(tmp_path, workers=0, sizes=TINY[:1])
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RunError, match="without torchrun"):
        run_demo(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def pace(train: float, cores: int = 2) -> MachineSpeed:
    return MachineSpeed(write=0.01, decode=0.004, train=train, cores=cores, writers=cores, workers=cores)


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
