"""A torchvision that does not fit this torch (a wheel from the registry beside a CPU build) stops no command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from marey.recipes import get_recipe
from marey.video.writing.writer import write_video
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model
from tests.support.made_videos import coded_frame

REASON = "operator torchvision::nms does not exist"
SMALL = ("model.width=4", "train.epochs=1", "test.size=32", "augment.size=32", "augment.short_side=36",
         "pixels.short_side=36")  # fmt: skip


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("given") / "clips"
    for number, label in enumerate(("jump", "run")):
        (folder / label).mkdir(parents=True)
        for i in range(3):
            frames = [coded_frame(n + 7 * i + 100 * number) for n in range(8)]
            write_video(folder / label / f"v{i}.mp4", frames, fps=10, preset="ultrafast")
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Run Python where torchvision is installed, by its metadata too, and raises when it is imported."""
    packages = tmp_path_factory.mktemp("packages")
    (packages / "torchvision").mkdir()
    (packages / "torchvision" / "__init__.py").write_text(f'raise RuntimeError("{REASON}")\n')
    metadata = packages / "torchvision-0.24.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.24.0\n")
    (metadata / "RECORD").write_text("torchvision/__init__.py,,\ntorchvision-0.24.0.dist-info/METADATA,,\n")
    paths = [str(packages), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, words)], env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_the_stub_is_as_broken_as_the_wheel(python) -> None:
    """Found by those who look for it, and dead when it is used."""
    done = python(
        "-c",
        "from importlib import metadata, util\n"
        "assert util.find_spec('torchvision') and metadata.version('torchvision') == '0.24.0'\n"
        "import torchvision",
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"RuntimeError: {REASON}"


def test_train_runs_with_a_broken_torchvision(clips, python, tmp_path) -> None:
    settings = [word for setting in SMALL for word in ("--set", setting)]
    words = ("train", clips, "--out", tmp_path / "run", *settings, "--init", "none", "--workers", "0")
    done = python("-m", "marey", *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_predict_runs_with_a_broken_torchvision(clips, python, tmp_path) -> None:
    recipe = get_recipe("slowonly_r18_8x2_motions").variant(
        model={"width": 4, "num_classes": 2}, test={"size": 32}, pixels={"short_side": 32}
    )
    save_checkpoint(tmp_path / "tiny.safetensors", build_model(recipe), recipe, ("jump", "run"))
    done = python("-m", "marey", "predict", tmp_path / "tiny.safetensors", clips / "run" / "v0.mp4", "--json")
    assert done.returncode == 0, done.stderr
    assert {answer["label"] for answer in json.loads(done.stdout)[0]["top"]} == {"jump", "run"}


def test_demo_runs_with_a_broken_torchvision(python, tmp_path) -> None:
    done = python(
        "-c",
        "from pathlib import Path\nfrom marey.workflows.demo import run_demo\n"
        "sizes = ({'train': 24, 'test': 12, 'size': 72, 'frames': 20},)\n"
        f"run_demo(Path({str(tmp_path / 'demo')!r}), workers=0, sizes=sizes)",
    )
    assert done.returncode == 0, done.stderr
    assert "right inside the mirrored pairs" in done.stdout


def test_doctor_reports_a_broken_torchvision(python) -> None:
    done = python("-m", "marey", "doctor", "--json")
    assert REASON in done.stdout
    assert json.loads(done.stdout)["healthy"], "Marey does not use it"
