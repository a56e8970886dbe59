"""Training runs: their files, resuming bit for bit, signals, precision, and several processes that equal one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

import marey
from marey.backends import precision
from marey.base.errors import RecipeError, RunError, WeightsError
from marey.base.files import sha256
from marey.data.lists.class_folders import list_folder
from marey.models.layers.checkpointing import Blocks
from marey.models.layers.drop_path import DropPath
from marey.recipe import SGD
from marey.training.distributed import StopSignals, refuse_mixed
from marey.training.ema import AveragedWeights
from marey.training.fit import fit
from marey.training.loop import TrainingLoop
from marey.training.step import GradientStep
from marey.weights.checkpoint import read_checkpoint, save_checkpoint
from marey.weights.load import build_model
from tests.support.crashing import CrashError, crash_after
from tests.support.platforms import posix
from tests.support.tiny import RECIPE
from tests.support.tolerances import DISTRIBUTED

VIDEOS_PER_CLASS = 5


def weights(out: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(out / "last.safetensors").tensors


def assert_same(one: Path, two: Path) -> None:
    a, b = weights(one), weights(two)
    assert all(torch.equal(a[name], b[name]) for name in a)
    old, new = (torch.load(out / "last.ckpt", weights_only=True) for out in (one, two))
    for part in ("model", "average"):
        assert (part in old) == (part in new)
        assert all(torch.equal(value, new[part][name]) for name, value in old.get(part, {}).items())
    for key, state in old["optimizer"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, new["optimizer"]["state"][key][name])
    for name in ("loss", "lr"):
        assert steps(one, name) == steps(two, name)
    assert epochs(one) == epochs(two)


def steps(out: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


def epochs(out: Path) -> list[list[str]]:
    """The rows of log.csv without times."""
    return [row.split(",")[:9] for row in (out / "log.csv").read_text().splitlines()]


def test_trains_and_leaves_its_files(videos, tmp_path) -> None:
    result = fit(RECIPE, train=list_folder(videos), val=list_folder(videos), out=tmp_path / "a", workers=0)
    assert (result.epochs, result.steps, result.finished) == (3, 9, True)
    for name in (
        "recipe.yaml",
        "run.json",
        "log.csv",
        "log.jsonl",
        "last.ckpt",
        "last.safetensors",
        "best.safetensors",
    ):
        assert (tmp_path / "a" / name).exists(), name
    model = marey.load_model(result.last)
    assert model.class_names == ("jump", "run")
    assert marey.predict(model, videos / "run" / "v0.mp4").top(1)
    with pytest.raises(RunError, match="holds another run"):
        fit(RECIPE, train=list_folder(videos), out=tmp_path / "a", workers=0)
    with pytest.raises(RunError, match=r"another run \(seed: there 0, here 5\)"):
        fit(RECIPE, train=list_folder(videos), val=list_folder(videos), out=tmp_path / "a", seed=5, resume=True)


def test_micro_batches_change_little_and_workers_nothing(videos, tmp_path) -> None:
    manifest = list_folder(videos)
    fit(RECIPE, train=manifest, out=tmp_path / "a", workers=0)
    fit(RECIPE, train=manifest, out=tmp_path / "b", workers=2)
    a, b = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_accumulation_is_the_same_gradient(videos, tmp_path) -> None:
    """With frozen norms and no dropout, micro-batches of one clip give the gradient of the complete batch."""
    recipe = RECIPE.variant(train={"dropout": 0.0, "frozen_norms": "all"})
    for name, batch in (("whole", None), ("parts", 1)):
        fit(recipe, train=list_folder(videos), out=tmp_path / name, workers=0, batch=batch)
    for one, two in zip(steps(tmp_path / "whole", "loss"), steps(tmp_path / "parts", "loss"), strict=True):
        assert one == pytest.approx(two, abs=1e-4)


EVERYTHING = {
    "repeats": 2,
    "draw": {"kind": "by_class"},
    "groups": {"kind": "by_depth", "decay": 0.8},
    "class_weights": {"kind": "effective_number"},
    "frozen_norms": "all_but_first",
    "norm_batch": 4,
    "precise_norms": 2,
    "ema": {"decay": 0.9},
    "drop_path": 0.5,
    "checkpointing": True,
}
"""Every part that keeps a state or draws."""


@pytest.mark.parametrize(("cut", "parts"), [(2, {}), (3, {}), (5, {}), (2, EVERYTHING), (3, EVERYTHING)])
def test_resume_equals_never_having_stopped(cut, parts, videos, tmp_path, monkeypatch) -> None:
    recipe = RECIPE.variant(train=parts)
    manifest = list_folder(videos)
    options = {"train": manifest, "val": manifest}
    fit(recipe, out=tmp_path / "whole", workers=0, **options)
    with monkeypatch.context() as patched:
        crash_after(cut, patched)
        with pytest.raises(CrashError):
            fit(recipe, out=tmp_path / "cut", workers=0, **options)
    fit(recipe, out=tmp_path / "cut", workers=2, resume=True, **options)
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_norm_batch_changes_weights(videos, tmp_path) -> None:
    """One device of 4 clips and two of 2 have other statistics, and so other weights."""
    recipe = RECIPE.variant(train={"dropout": 0.0, "epochs": 1})
    for name, norm_batch in (("four", None), ("two", 2)):
        fit(recipe.variant(train={"norm_batch": norm_batch}), train=list_folder(videos), out=tmp_path / name, workers=0)
    four, two = weights(tmp_path / "four"), weights(tmp_path / "two")
    assert max(float((four[name] - two[name]).abs().max()) for name in four) > 100 * DISTRIBUTED
    with pytest.raises(RecipeError, match="norm_batch=3 does not divide the 4 clips"):
        fit(recipe.variant(train={"norm_batch": 3}), train=list_folder(videos), out=tmp_path / "bad", workers=0)
    with pytest.raises(RecipeError, match="--batch 1 is less than train.norm_batch=2"):
        changed = recipe.variant(train={"norm_batch": 2})
        fit(changed, train=list_folder(videos), out=tmp_path / "bad", workers=0, batch=1)


def test_the_average_is_what_is_saved(videos, tmp_path) -> None:
    """The formula of the average, step by step, over the weights of runs without averaging that end after each step."""
    manifest = list_folder(videos)
    seen, recipe = [], RECIPE.variant(train={"epochs": 1, "dropout": 0.0})
    plain = fit(recipe, train=manifest, val=manifest, out=tmp_path / "plain", workers=0)
    begin, update = AveragedWeights.__init__, AveragedWeights.update

    def note(network: nn.Module) -> None:
        seen.append({name: value.clone() for name, value in network.state_dict().items()})

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(AveragedWeights, "__init__", lambda self, *a: note(a[0]) or begin(self, *a))
        patched.setattr(AveragedWeights, "update", lambda self, step: note(self.network) or update(self, step))
        averaged = recipe.variant(train={"ema": {"decay": 0.2}})
        result = fit(averaged, train=manifest, val=manifest, out=tmp_path / "averaged", workers=0)
    assert len(seen) == 4
    last, best = (read_checkpoint(path).tensors for path in (result.last, result.best))
    for name, value in seen[0].items():
        if value.is_floating_point():
            expected = value.double()
            for step, weights_then in enumerate(seen[1:], start=1):
                d = min(0.2, (1 + step) / (10 + step))
                expected = d * expected + (1 - d) * weights_then[name].double()
            torch.testing.assert_close(last[name].double(), expected, rtol=1e-5, atol=1e-6)
        assert torch.equal(last[name], best[name])
    state = torch.load(tmp_path / "averaged" / "last.ckpt", weights_only=True)
    unaveraged = read_checkpoint(plain.last).tensors
    assert all(torch.equal(state["model"][name], unaveraged[name]) for name in unaveraged)
    assert not torch.equal(state["average"]["head.weight"], state["model"]["head.weight"])


@pytest.mark.parametrize("parts", [{}, {"ema": {"decay": 0.5}}], ids=["weights", "their average"])
def test_precise_norms_change_the_saved_statistics_and_not_the_training(parts, videos, tmp_path) -> None:
    manifest = list_folder(videos)
    for name, count in (("running", None), ("precise", 200)):
        recipe = RECIPE.variant(train={"precise_norms": count, **parts})
        fit(recipe, train=manifest, out=tmp_path / name, workers=0)
    assert steps(tmp_path / "running", "loss") == steps(tmp_path / "precise", "loss")
    running, precise = weights(tmp_path / "running"), weights(tmp_path / "precise")
    for name in running:
        kept = "running" not in name and "tracked" not in name
        assert torch.equal(running[name], precise[name]) or not kept, name
    assert not torch.equal(running["resnet.stem.norm.running_var"], precise["resnet.stem.norm.running_var"])


def test_repeats_show_each_video_several_times_a_step(videos, tmp_path) -> None:
    """As many steps per epoch as without, each with twice the clips, each clip cropped independently."""
    seen = []
    with pytest.MonkeyPatch.context() as patched:
        backward = GradientStep.forward_backward

        def watched(self, batch, step):
            seen.append((batch["clip"], batch["target"], batch["size"]))
            return backward(self, batch, step)

        patched.setattr(GradientStep, "forward_backward", watched)
        recipe = RECIPE.variant(train={"repeats": 2, "epochs": 1})
        result = fit(recipe, train=list_folder(videos), out=tmp_path, workers=0)
    assert result.steps == 3
    assert [len(clips) for clips, *_ in seen] == [size for _, _, size in seen] == [8, 8, 4]
    for clips, targets, _ in seen:
        assert torch.equal(targets[0::2], targets[1::2])
        assert not torch.equal(clips[0::2], clips[1::2])


def test_your_own_module_trains(videos, tmp_path) -> None:
    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool3d(2), torch.nn.Flatten(), torch.nn.Linear(24, 2))
    before = module[2].weight.clone()
    result = fit(RECIPE, train=list_folder(videos), out=tmp_path / "a", model=module, workers=0)
    assert result.finished
    assert not torch.equal(before, module[2].weight)


def test_bad_input(videos, tmp_path) -> None:
    manifest = list_folder(videos)
    with pytest.raises(RecipeError, match="has 3 classes, the training list 2"):
        fit(RECIPE.variant(model={"num_classes": 3}), train=manifest, out=tmp_path / "a")
    with pytest.raises(RecipeError, match="starts from kinetics400 weights"):
        fit(RECIPE.variant(pretraining="kinetics400"), train=manifest, out=tmp_path / "a")
    with pytest.raises(
        RecipeError, match="starts from imagnet weights, and Marey itself finds imagenet and ig65m alone"
    ):
        fit(RECIPE.variant(pretraining="imagnet"), train=manifest, out=tmp_path / "a")
    with pytest.raises(WeightsError, match="ImageNet weights exist for width"):
        fit(RECIPE.variant(pretraining="imagenet"), train=manifest, out=tmp_path / "a")
    with pytest.raises(RunError, match="holds no run to resume"):
        fit(RECIPE, train=manifest, out=tmp_path / "none", resume=True)
    explode = RECIPE.variant(train={"optimizer": {"lr": 1e30}, "clip_norm": None})
    with pytest.raises(RunError, match="try a smaller learning rate"):
        fit(explode, train=manifest, out=tmp_path / "b", workers=0)


SCRIPT = """
import sys
from marey.data.lists.class_folders import list_folder
from marey.training.fit import fit
from marey.recipe import read_recipe
manifest = list_folder(sys.argv[2])
fit(read_recipe(sys.argv[1]), train=manifest, out=sys.argv[3], workers=int(sys.argv[4]), resume=len(sys.argv) > 5,
    checkpoint_minutes=0.0)
"""


@posix
@pytest.mark.slow
def test_killed_in_mid_epoch(videos, tmp_path) -> None:
    """SIGKILL at an arbitrary moment; the run is resumed from its last state with other workers."""
    recipe = RECIPE.variant(train={"epochs": 12})
    (tmp_path / "r.yaml").write_text(recipe.to_yaml())
    (tmp_path / "s.py").write_text(SCRIPT)

    def command(out: str, workers: int, *more: str) -> list[str]:
        words = ["s.py", "r.yaml", str(videos), out, str(workers), *more]
        return [sys.executable, *words]

    subprocess.run(command("whole", 0), cwd=tmp_path, check=True, capture_output=True)
    running = subprocess.Popen(command("cut", 1), cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not (tmp_path / "cut" / "log.jsonl").exists() or len(steps(tmp_path / "cut", "loss")) < 7:
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    subprocess.run(command("cut", 2, "resume"), cwd=tmp_path, check=True, capture_output=True)
    assert_same(tmp_path / "whole", tmp_path / "cut")


@posix
@pytest.mark.slow
def test_a_signal_to_stop(videos, tmp_path) -> None:
    """SIGTERM to all processes ends the run after the current step, saved, with one line."""
    recipe = RECIPE.variant(train={"epochs": 400})
    (tmp_path / "r.yaml").write_text(recipe.to_yaml())
    (tmp_path / "s.py").write_text(SCRIPT.replace("checkpoint_minutes=0.0", "checkpoint_minutes=60"))
    words = [sys.executable, "s.py", "r.yaml", str(videos), "out", "1"]
    running = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (tmp_path / "out" / "log.jsonl").exists() or len(steps(tmp_path / "out", "loss")) < 5:
        assert running.poll() is None
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGTERM)
    _, errors = running.communicate(timeout=60)
    assert "continue with --resume" in errors.splitlines()[-1]
    state = torch.load(tmp_path / "out" / "last.ckpt", weights_only=True)
    assert state["progress"]["step"] == len(steps(tmp_path / "out", "loss"))


@posix
@pytest.mark.slow
def test_one_of_two_processes_is_asked_to_stop(videos, tmp_path) -> None:
    """Both end after the same step, with the run saved."""
    (tmp_path / "r.yaml").write_text(RECIPE.variant(train={"epochs": 400}).to_yaml())
    asked = "import os, signal\nfrom marey.training import loop\nold, done = loop.any_process, 0\n"
    asked += "def agreed(*given):\n    global done\n    done += 1\n    if done == 5 and os.environ['RANK'] == '1':\n"
    asked += "        os.kill(os.getpid(), signal.SIGTERM)\n    return old(*given)\nloop.any_process = agreed\n"
    (tmp_path / "s.py").write_text(asked + SCRIPT.replace("checkpoint_minutes=0.0", "checkpoint_minutes=60"))
    words = [*TORCHRUN, "2", "s.py", "r.yaml", str(videos), "out", "0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, env=environment, timeout=300, text=True, check=False
    )
    assert "stopped after step 6; continue with --resume" in done.stderr
    assert torch.load(tmp_path / "out" / "last.ckpt", weights_only=True)["progress"]["step"] == 6


@pytest.mark.slow
def test_two_processes_record_broken_files_as_one_does(videos, tmp_path) -> None:
    """Each file once, whichever process reads it, with one warning."""
    for label in ("jump", "run"):
        (tmp_path / "videos" / label).mkdir(parents=True)
        for file in sorted((videos / label).iterdir()):
            shutil.copy(file, tmp_path / "videos" / label)
        for number in range(2):
            (tmp_path / "videos" / label / f"w{number}.mp4").write_text("no video")
    (tmp_path / "r.yaml").write_text(RECIPE.variant(train={"epochs": 2}).to_yaml())
    (tmp_path / "s.py").write_text(
        SCRIPT.replace("checkpoint_minutes", "val=manifest, max_broken=0.5, checkpoint_minutes")
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    found = {}
    for count in ("1", "2"):
        words = [*TORCHRUN, count, "s.py", "r.yaml", "videos", count, "0"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, env=environment, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("set aside") == 4
        lines = (tmp_path / count / "broken.jsonl").read_text().splitlines()
        found[count] = sorted(json.loads(line)["id"] for line in lines)
        assert [row.split(",")[-1] for row in (tmp_path / count / "log.csv").read_text().splitlines()[1:]] == ["4", "4"]
    assert found["1"] == found["2"] == ["jump/w0.mp4", "jump/w1.mp4", "run/w0.mp4", "run/w1.mp4"]


def test_bfloat16(videos, tmp_path) -> None:
    """Two frames under temporal kernels of three, and 1x1 maps at the end. If it is asked for, every CPU uses it."""
    manifest = list_folder(videos)
    recipe = RECIPE.variant(train={"epochs": 8})
    fit(recipe, train=manifest, val=manifest, out=tmp_path, workers=0, precision="bfloat16")
    assert read_checkpoint(tmp_path / "last.safetensors").recipe.train.precision == "bfloat16"
    assert all(torch.isfinite(value).all() for value in read_checkpoint(tmp_path / "last.safetensors").tensors.values())


def test_auto_on_a_cpu_without_bfloat16_and_a_resume_elsewhere(videos, tmp_path, monkeypatch, capsys) -> None:
    """float32 in place of the recipe's bfloat16, also if the run is resumed on a machine where bfloat16 would be fast."""
    recipe, manifest = RECIPE.variant(train={"precision": "bfloat16"}), list_folder(videos)
    monkeypatch.setattr(precision, "bfloat16_cost", lambda: 90.0)
    fit(recipe, train=manifest, out=tmp_path, workers=0)
    assert "the recipe's bfloat16 is replaced by float32: bfloat16 takes 90 times" in capsys.readouterr().err
    assert read_checkpoint(tmp_path / "last.safetensors").recipe.train.precision == "float32"
    monkeypatch.setattr(precision, "bfloat16_cost", lambda: 0.3)
    assert fit(recipe, train=manifest, out=tmp_path, workers=0, resume=True).finished
    assert "the run began in float32 and continues in it, not in the recipe's bfloat16" in capsys.readouterr().err
    with pytest.raises(RunError, match="holds another run"):
        fit(recipe, train=manifest, out=tmp_path, workers=0, resume=True, precision="bfloat16")


def test_a_run_in_bfloat16_is_resumed_in_it_on_a_slower_cpu(videos, tmp_path, monkeypatch, capsys) -> None:
    recipe, manifest = RECIPE.variant(train={"precision": "bfloat16", "epochs": 1}), list_folder(videos)
    monkeypatch.setattr(precision, "bfloat16_cost", lambda: 0.3)
    fit(recipe, train=manifest, out=tmp_path, workers=0)
    monkeypatch.setattr(precision, "bfloat16_cost", lambda: 90.0)
    assert fit(recipe, train=manifest, out=tmp_path, workers=0, resume=True).finished
    assert "the run began in bfloat16 and continues in it: bfloat16 takes 90 times" in capsys.readouterr().err


def test_training_in_float32_is_float32(videos, tmp_path) -> None:
    """With any earlier settings of torch, which are restored."""
    manifest = list_folder(videos)
    fit(RECIPE, train=manifest, val=manifest, out=tmp_path / "a", workers=0)
    torch.set_float32_matmul_precision("medium")  # bfloat16 inside oneDNN, on CPUs that have it
    try:
        fit(RECIPE, train=manifest, val=manifest, out=tmp_path / "b", workers=0)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert_same(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16"])
def test_convolutions_of_users_modules_are_safe(videos, tmp_path, arithmetic) -> None:
    """Operators that oneDNN computes wrongly are replaced: narrow pointwise strides, and padding of short inputs."""
    strides, paddings = set(), set()

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.narrow = nn.Conv2d(3, 2, 1, stride=2)
            self.long = nn.Conv3d(3, 2, (5, 1, 1), padding=(2, 0, 0))

        def forward(self, clip_BCTHW: torch.Tensor) -> torch.Tensor:
            still, moving = self.narrow(clip_BCTHW[:, :, 0]), self.long(clip_BCTHW)
            strides.add(still.grad_fn._saved_stride)
            paddings.add(moving.grad_fn._saved_padding)
            return still.mean(dim=(2, 3)) + moving.mean(dim=(2, 3, 4))

    fit(RECIPE, train=list_folder(videos), out=tmp_path, workers=0, model=Own(), precision=arithmetic)
    assert strides == {(1, 1)}
    assert paddings == {(0, 0, 0) if arithmetic == "bfloat16" else (2, 0, 0)}


def test_tensorboard(videos, tmp_path) -> None:
    fit(RECIPE, train=list_folder(videos), out=tmp_path, workers=0, tensorboard=True)
    assert list((tmp_path / "tensorboard").iterdir())


def test_stops_early(videos, tmp_path) -> None:
    manifest = list_folder(videos)
    recipe = RECIPE.variant(train={"epochs": 9, "stop_after": 1, "optimizer": {"lr": 1e-9}})
    fit(recipe, train=manifest, val=manifest, out=tmp_path, workers=0)
    assert len(epochs(tmp_path)) < 9


TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


@pytest.mark.slow
def test_two_processes_equal_one(videos, tmp_path) -> None:
    recipe = RECIPE.variant(train={"dropout": 0.0, "frozen_norms": "all", "epochs": 7, "optimizer": {"lr": 1e-4}})
    (tmp_path / "r.yaml").write_text(recipe.to_yaml())
    (tmp_path / "s.py").write_text(SCRIPT)
    words = ["s.py", "r.yaml", str(videos)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words, "one", "0"], cwd=tmp_path, check=True, capture_output=True)
    command = [*TORCHRUN, "2", *words, "two", "0"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert len(steps(tmp_path / "one", "loss")) >= 20
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=DISTRIBUTED, atol=DISTRIBUTED)


@pytest.mark.parametrize("other", ["float32", "bfloat16"])
def test_processes_compare_their_arithmetic(other, monkeypatch) -> None:
    def gathered(found: list[object], mine: object) -> None:
        found[:] = [mine, other, mine]  # the choices of three processes

    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setattr(torch.distributed, "all_gather_object", gathered)
    refuse_mixed(other)
    with pytest.raises(
        RunError, match=rf"arithmetic: {other} on rank 1; tf32 on rank 0, 2\..* use --precision float32"
    ):
        refuse_mixed("tf32")


@pytest.mark.slow
def test_machines_of_which_one_lacks_bfloat16(videos, tmp_path) -> None:
    """Two real processes: both end with the same error, and the folder is free for another call."""
    (tmp_path / "r.yaml").write_text(RECIPE.variant(train={"precision": "bfloat16"}).to_yaml())
    imitated = "import os\nfrom marey.backends import precision\n"
    imitated += "precision.bfloat16_cost = lambda: (0.3, 90.0)[int(os.environ['RANK'])]\n"
    (tmp_path / "s.py").write_text(imitated + SCRIPT)
    words = [*TORCHRUN, "2", "s.py", "r.yaml", str(videos), "out", "0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, env=environment, timeout=300, text=True, check=False
    )
    assert done.returncode != 0
    assert "different arithmetic: bfloat16 on rank 0; float32 on rank 1." in done.stderr
    assert not (tmp_path / "out" / "last.ckpt").exists()
    (tmp_path / "s.py").write_text(SCRIPT)
    (tmp_path / "r.yaml").write_text(RECIPE.to_yaml())
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize(("norm_batch", "frozen"), [(4, "none"), (2, "all_but_first")])
def test_one_device_imitates_several(norm_batch, frozen, videos, tmp_path) -> None:
    """One process of 8 clips equals two of 4 if batch norms see as many at once: weights, statistics and their average.

    The last batch of each epoch holds two clips, one for each device.
    """
    parts = {"norm_batch": norm_batch, "base_batch": 8, "epochs": 4, "dropout": 0.0, "optimizer": SGD(lr=1e-4)}
    recipe = RECIPE.variant(train={**parts, "frozen_norms": frozen, "ema": {"decay": 0.9}})
    (tmp_path / "r.yaml").write_text(recipe.to_yaml())
    (tmp_path / "s.py").write_text(SCRIPT)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for out, count in (("one", 1), ("two", 2)):
        words = [*TORCHRUN, str(count), "s.py", "r.yaml", str(videos), out, "0"]
        subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, env=environment)
    one, two = (torch.load(tmp_path / out / "last.ckpt", weights_only=True) for out in ("one", "two"))
    assert one["progress"]["step"] == two["progress"]["step"] == 8
    for part in ("model", "average"):
        for name, value in one[part].items():
            torch.testing.assert_close(value, two[part][name], rtol=DISTRIBUTED, atol=DISTRIBUTED)


@pytest.mark.slow
def test_the_command_under_torchrun(videos, tmp_path) -> None:
    """Train, test and report by two processes: every video tested once, one report, one summary."""
    (tmp_path / "r.yaml").write_text(RECIPE.to_yaml())
    words = ["-m", "marey", "train", "r.yaml", "--data", str(videos), "--val", str(videos), "--workers", "0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = [*TORCHRUN, "2", *words, *more]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = run("--out", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("top-1") == 1
    assert json.loads((tmp_path / "out" / "result.json").read_text())["videos"] == 10
    assert (tmp_path / "out" / "report.html").exists()
    assert "name it with --out" in run().stderr


class Own(nn.Module):
    """A user's module with two layers, which share their weights if `tied`."""

    def __init__(self, *, tied: bool = False) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool3d(1)
        self.one, self.two, self.head = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)
        self.unused = nn.BatchNorm3d(3)
        if tied:
            self.two.weight = self.one.weight

    def forward(self, clip_BCTHW: torch.Tensor) -> torch.Tensor:
        return self.head(self.two(self.one(self.pool(clip_BCTHW).flatten(1))))


@pytest.mark.parametrize("parts", [{}, {"ema": {"decay": 0.5}, "precise_norms": 1}], ids=["plain", "averaged"])
def test_tied_weights_stay_tied_and_are_saved(parts, videos, tmp_path) -> None:
    module = Own(tied=True)
    recipe = RECIPE.variant(train={"epochs": 1, **parts})
    fit(recipe, train=list_folder(videos), out=tmp_path, workers=0, model=module)
    assert module.one.weight is module.two.weight
    saved = weights(tmp_path)
    assert torch.equal(saved["one.weight"], saved["two.weight"])
    assert torch.equal(saved["one.weight"], module.one.weight) == (not parts)
    assert torch.equal(saved["unused.running_var"], torch.ones(3)), "a norm that saw nothing keeps what it had"
    fit(recipe, train=list_folder(videos), out=tmp_path, workers=0, model=Own(tied=True), resume=True)


class Extra(Own):
    def get_extra_state(self) -> dict[str, int]:
        return {"a": 1}

    def set_extra_state(self, state: object) -> None:
        pass


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(2)), "Sequential: parameter 1.weight has no shape yet"),
        (Extra(), "Extra: _extra_state in its state is a dict"),
    ],
    ids=["lazy", "extra state"],
)
def test_a_module_that_cannot_be_saved_is_refused_before_anything_is_written(module, message, videos, tmp_path) -> None:
    with pytest.raises(RecipeError, match=message):
        fit(RECIPE, train=list_folder(videos), out=tmp_path / "a", workers=0, model=module)
    assert not (tmp_path / "a").exists()


def test_a_missing_extra_is_reported_before_training(videos, tmp_path, monkeypatch) -> None:
    manifest = list_folder(videos)
    with pytest.raises(WeightsError, match="nope"):
        fit(RECIPE, train=manifest, out=tmp_path / "a", workers=0, init="nope")
    assert not (tmp_path / "a").exists(), "a run that never made a step leaves nothing"
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RunError, match=r"pip install 'marey\[tensorboard\]'"):
        fit(RECIPE, train=manifest, out=tmp_path / "a", workers=0, tensorboard=True)
    assert not (tmp_path / "a").exists()


def test_a_module_is_left_as_it_was(videos, tmp_path) -> None:
    network = build_model(RECIPE)
    recipe = RECIPE.variant(train={"epochs": 1, "drop_path": 0.5, "checkpointing": True})
    fit(recipe, train=list_folder(videos), out=tmp_path, workers=0, model=network)
    assert {layer.rate for layer in network.modules() if isinstance(layer, DropPath)} == {0.0}
    assert not any(blocks.recompute for blocks in network.modules() if isinstance(blocks, Blocks))


def test_a_crash_between_log_and_state_loses_no_row(videos, tmp_path, monkeypatch) -> None:
    manifest = list_folder(videos)
    fit(RECIPE, train=manifest, out=tmp_path / "whole", workers=0)
    save = TrainingLoop._save

    def crash(self) -> None:
        if self.at.epoch == 2:
            raise CrashError
        save(self)

    with monkeypatch.context() as patched:
        patched.setattr(TrainingLoop, "_save", crash)
        with pytest.raises(CrashError):
            fit(RECIPE, train=manifest, out=tmp_path / "cut", workers=0)
    fit(RECIPE, train=manifest, out=tmp_path / "cut", workers=0, resume=True)
    assert epochs(tmp_path / "cut") == epochs(tmp_path / "whole")


def test_under_torchrun_only_a_later_ctrl_c_stops_at_once(monkeypatch, capsys) -> None:
    now = [0.0]
    monkeypatch.setattr("marey.training.distributed.time.monotonic", lambda: now[0])
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    before = signal.getsignal(signal.SIGINT)
    with StopSignals() as stop:
        assert not stop.received
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # the signal of torchrun, after that of the terminal
        assert stop.received
        assert capsys.readouterr().err.count("stopping after this step") == 1
        now[0] = 3.0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_twice_without_torchrun_stops_at_once(monkeypatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with StopSignals() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.interrupted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_checkpoint_names_the_published_file_that_it_started_from(videos, tmp_path, monkeypatch) -> None:
    save_checkpoint(tmp_path / "start.safetensors", build_model(RECIPE), RECIPE)
    digits = sha256(tmp_path / "start.safetensors")
    (tmp_path / "lab").mkdir()
    (tmp_path / "start.safetensors").rename(tmp_path / "lab" / f"start-{digits[:8]}.safetensors")
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MAREY_MIRROR", str(tmp_path / "lab"))
    address = f"https://a.org/start-{digits[:8]}.safetensors"
    recipe = RECIPE.variant(train={"epochs": 1})
    for resume in (False, True):
        fitted = fit(recipe, train=list_folder(videos), out=tmp_path / "run", workers=0, init=address, resume=resume)
        started = read_checkpoint(fitted.last).provenance["started_from"]
        assert (started["layout"], started["origin"]["sha256"], started["origin"]["trust"]) == (
            "marey",
            digits,
            "prefix",
        )
