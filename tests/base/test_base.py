"""Atomic files, keyed randomness, names, jobs, recipes as YAML."""

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from marey.base import processes
from marey.base.errors import RecipeError
from marey.base.files import atomic_path, cache_folder, link, locked
from marey.base.jobs import each_job, run_jobs
from marey.base.names import did_you_mean
from marey.base.random import random_for, torch_seed
from marey.data.loading.epoch_order import ByClass
from marey.recipe import CosineSchedule, Recipe, StepSchedule, Warmup, read_recipe, recipe_from
from marey.recipes import RECIPES, get_recipe
from marey.video.sampling import PySlowFastTest
from marey.weights.layouts.all import LAYOUTS
from tests.support.platforms import posix


def test_files_are_written_atomically(tmp_path) -> None:
    path = tmp_path / "deep" / "a.txt"
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text("half")
        1 / 0  # noqa: B018
    assert list(path.parent.iterdir()) == []
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert stat.S_IMODE(path.stat().st_mode) & 0o400


@pytest.mark.skipif(sys.platform == "win32", reason="files have no limit there")
def test_a_full_disk_leaves_complete_lines_and_its_error_names_the_file(tmp_path) -> None:
    """A limit to the size of files, which first writes fewer bytes, like a disk that fills up."""
    program = """if True:
        import resource
        from marey.base.files import append_line
        from marey.base.files import write_text
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        append_line("lines.jsonl", "x" * 60)
        for write in (lambda: append_line("lines.jsonl", "y" * 60), lambda: write_text("text", "z" * 200)):
            try:
                write()
            except OSError as error:
                print(error.filename)
        """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "lines.jsonl\ntext\n"
    assert (tmp_path / "lines.jsonl").read_text() == f'"{"x" * 60}"\n'
    assert [path.name for path in tmp_path.iterdir()] == ["lines.jsonl"]


def test_randomness_has_a_key() -> None:
    assert random_for(1, 2, 3).randint(1 << 30) == random_for(1, 2, 3).randint(1 << 30)
    draws = {random_for(*key).randint(1 << 30) for key in [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0), (0,)]}
    assert len(draws) >= 4
    assert 0 <= torch_seed(1, 2) < 1 << 63


@posix
def test_a_lock_has_one_holder_at_a_time_and_ends_with_its_process(tmp_path) -> None:
    """Also if the killed process leaves a forked child behind."""
    code = (
        "import os, sys, time\nfrom marey.base.files import locked\n"
        f"with locked({str(tmp_path / 'lock')!r}):\n"
        "    child = os.fork()\n"
        "    if not child: print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        child = int(process.stdout.readline())
        try:
            with pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=False):
                pass
            process.kill()
            process.wait()
            with (
                locked(tmp_path / "lock", wait=False),
                pytest.raises(BlockingIOError),
                locked(tmp_path / "lock", wait=False),
            ):
                pass
        finally:
            process.kill()
            os.kill(child, signal.SIGKILL)


def test_cache_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


@pytest.mark.parametrize("workers", [0, 2])
def test_jobs_keep_their_order(workers) -> None:
    assert run_jobs(abs, list(range(-20, 0)), workers=workers, title="Counting") == list(range(20, 0, -1))


def test_no_items_need_no_process() -> None:
    assert run_jobs(abs, [], workers=None, title="Counting") == []


def test_cores_that_a_process_may_use(monkeypatch, tmp_path) -> None:
    assert 1 <= processes.usable_cores() <= (os.cpu_count() or 1)
    for said, cores in [
        ("max 100000\n", sys.maxsize),
        ("250000 100000\n", 2),
        ("50000 100000\n", 1),
        ("", sys.maxsize),
    ]:
        (tmp_path / "cpu.max").write_text(said)
        assert processes._quota(tmp_path / "cpu.max") == cores
    assert processes._quota(tmp_path / "missing") == sys.maxsize


@pytest.mark.parametrize(("cores", "started", "workers"), [(1, 1, 1), (6, 1, 6), (64, 1, 8), (64, 16, 4), (2, 4, 1)])
def test_decoding_workers(cores, started, workers, monkeypatch) -> None:
    monkeypatch.setattr(processes, "usable_cores", lambda: cores)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(started))
    assert processes.decoding_workers(None) == workers
    assert [processes.decoding_workers(asked) for asked in (0, 3, 99)] == [0, 3, 99]


def test_nearest_names() -> None:
    assert did_you_mean("trian", ["train", "test"]).startswith(" Did you mean train")
    assert did_you_mean("zzzzzz", ["train"]) == ""


# -- recipes


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_recipes_round_trip_through_yaml(recipe, tmp_path) -> None:
    (tmp_path / "r.yaml").write_text(recipe.to_yaml())
    assert read_recipe(tmp_path / "r.yaml") == recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


KIN = {"csn": ("ircsn", "ipcsn"), "r2plus1d": ("r2plus1d", "r3d", "mc3"), "frame": ("probe",)}
"""Names of networks that share a declaration with others."""


def test_names_are_unique_and_follow_the_pattern() -> None:
    names = [recipe.name for recipe in RECIPES]
    assert len(set(names)) == len(names)
    for recipe in RECIPES:
        network = recipe.model.network.split("_")[0]
        assert recipe.name.startswith(KIN.get(network, (network,)))
        assert (recipe.published is not None) <= any(data in recipe.name for data in ("k400", "ucf101", "hmdb51"))
        for source in recipe.weights:
            if source.layout == "mmaction":
                assert source.file.removesuffix(".pth").endswith(source.hash.digits)


def test_fields_with_open_lists_accept_new_words_of_the_right_form() -> None:
    """A new family may have new words; those of the shipped recipes have one spelling."""
    recipe = get_recipe("slowonly_r50_8x8_k400")
    assert recipe.variant(pretraining="videomae-k710_v2").pretraining == "videomae-k710_v2"
    (source,) = recipe.weights
    assert recipe.variant(weights=[source.model_copy(update={"layout": "vjepa2.1"})]).weights[0].layout == "vjepa2.1"
    for wrong in ("ImageNet", "image net", "", "_imagenet", "imagenet-"):
        with pytest.raises(RecipeError, match=f"pretraining: '{wrong}' is no word of lower-case letters and digits"):
            recipe.variant(pretraining=wrong)
    assert {r.pretraining for r in RECIPES} == {None, "imagenet", "ig65m", "sports1m", "kinetics400"}
    assert {source.layout for r in RECIPES for source in r.weights} <= {layout.name for layout in LAYOUTS}


def test_weights_of_version_0_1_are_one_source() -> None:
    recipe = get_recipe("r2plus1d_r34_8x1_k400_ig65m_vmz")
    values = recipe.model_dump(mode="json")
    (declared,) = recipe.weights
    values["weights"] = {
        "url": declared.address, "sha256": "0aa0550b", "layout": "vmz", "licence": "Apache-2.0, the conversion MIT",
    }  # fmt: skip
    (source,) = recipe_from(values, source="x").weights
    assert (source.address, source.hash, source.layout) == (declared.address, declared.hash, "videoresnet")
    assert (source.licence, source.licence_stated_by) == ("Apache-2.0 AND MIT", "repository")
    values["weights"] = {
        "url": "https://open-mmlab.s3.ap-northeast-2.amazonaws.com/a.pth",
        "sha256": "0" * 8,
        "layout": "mmaction",
        "licence": "MIT",
    }
    (gone,) = recipe_from(values, source="x").weights
    assert gone.state.reported == "gone"
    assert not gone.usable
    for odd in (
        {"url": "s3://a/b.pth"},
        {"url": "https://h.org/"},
        {"sha256": "unknown"},
        {"licence": 5},
        {"layout": [1]},
    ):
        values["weights"] = {"url": "https://a.org/a.pth", "sha256": "0" * 8, "layout": "x", "licence": "MIT"} | odd
        assert len(recipe_from(values, source="x").weights) == ("licence" in odd)
    values["weights"] = None
    assert recipe_from(values, source="x").weights == ()
    values["weights"] = {"url": "https://example.org/a.pth", "sha": "0" * 8}
    with pytest.raises(RecipeError, match="weights of one address have no 'sha'"):
        recipe_from(values, source="x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"address": "http://example.org/a.pth"}, "expected https://"),
        ({"address": "ftp://example.org/a.pth"}, "expected https://"),
        ({"address": "hf://org/name"}, "names no file"),
        ({"hash": {"digits": "0123"}}, "at least the first 8"),
        ({"hash": {"digits": "xyz" * 10}}, "hexadecimal"),
        ({"hash": {"digits": "0" * 39, "algorithm": "git_blob"}}, "its 40 hexadecimal digits"),
        ({"state": {"reported": "gone"}}, "needs the date and the evidence"),
        ({"size": 0}, "greater than 0"),
    ],
)
def test_a_source_that_breaks_a_rule_is_refused_in_one_line(changes, message) -> None:
    recipe = get_recipe("slowonly_r50_8x8_k400")
    values = recipe.weights[0].model_dump(mode="json") | changes
    with pytest.raises(RecipeError, match=message) as caught:
        recipe.variant(weights=[values])
    assert "\n" not in str(caught.value)


def test_sources_come_back_from_yaml(tmp_path) -> None:
    for recipe in RECIPES:
        if recipe.weights:
            (tmp_path / "a.yaml").write_text(recipe.to_yaml())
            assert read_recipe(tmp_path / "a.yaml").weights == recipe.weights


def test_settings_are_typed() -> None:
    recipe = get_recipe("slowonly_r50_8x8_k400")
    changed = recipe.with_settings(["train.epochs=30", "train.optimizer.lr=1e-5", "model.num_classes=7"])
    assert (changed.train.epochs, changed.train.optimizer.lr, changed.model.num_classes) == (30, 1e-5, 7)
    assert changed.published is None
    assert changed.weights == ()
    assert recipe.with_settings(["train.epochs=30"]).weights == recipe.weights
    adamw = recipe.with_settings(["train.optimizer={kind: adamw, lr: 0.001}"])
    assert adamw.train.optimizer.kind == "adamw"
    assert recipe.variant(train={"schedule": CosineSchedule(by="step")}).train.schedule.warmup is None


@pytest.mark.parametrize("turn", [1, -1])
def test_settings_change_a_kind_and_its_fields(turn) -> None:
    recipe = get_recipe("slowonly_r50_8x8_k400")
    words = ["train.schedule.kind=step", "train.schedule.milestones=[30, 40]", "train.schedule.warmup.epochs=5"]
    changed = recipe.with_settings(words[::turn])
    assert changed.train.schedule == StepSchedule(milestones=(30, 40), warmup=Warmup(epochs=5))
    words = ["train.draw.kind=by_class", "train.draw.power=0.5", "test.sampling.rule=pyslowfast_test"]
    changed = recipe.with_settings(words[::turn])
    assert changed.train.draw == ByClass(power=0.5)
    assert changed.test.sampling == PySlowFastTest()
    with pytest.raises(RecipeError, match="powr: Extra inputs"):
        recipe.with_settings(["train.draw.kind=by_class", "train.draw.powr=1"])
    with pytest.raises(RecipeError, match=r"^--set: train\.schedule\.step\.milestones: Field required\.$"):
        recipe.with_settings(["train.epochs=3", "train.schedule.kind=step"])
    with pytest.raises(RecipeError, match="^--set: label smoothing is for one label"):
        recipe.with_settings(["task.kind=multilabel", "train.label_smoothing=0.1"])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("train.epoch=3", "no key 'train.epoch'. Did you mean train.epochs"),
        ("train.epochs=many", "train.epochs: .*integer"),
        ("train.epochs=-1", "greater than 0"),
        ("train.epochs", "expected key=value"),
        ("train.precision=float8", "'float32', 'tf32' or 'bfloat16'"),
    ],
)
def test_wrong_settings(word, message) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        get_recipe("slowonly_r50_8x8_k400").with_settings([word])
    assert "\n" not in str(caught.value)


def test_wrong_recipes(tmp_path) -> None:
    with pytest.raises(RecipeError, match="slowonly_r50_8x8_k400"):
        get_recipe("slowonly_r50_8x8")
    path = tmp_path / "r.yaml"
    path.write_text(get_recipe("slowonly_r50_8x8_k400").to_yaml() + "colour: red\n")
    with pytest.raises(RecipeError, match="colour: Extra inputs"):
        read_recipe(path)
    for text in ("just words", "a: [", ""):
        path.write_text(text)
        with pytest.raises(RecipeError, match=r"r\.yaml"):
            read_recipe(path)
    np.testing.assert_equal(len(RECIPES) >= 14, True)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
def test_workers_end_with_their_parent(tmp_path) -> None:
    """A killed run leaves no waiting processes behind."""
    script = (
        "import os, pathlib, time\nfrom marey.base.jobs import run_jobs\n"
        "def work(path):\n    pathlib.Path(path).write_text(str(os.getpid()))\n    time.sleep(100)\n"
        f"if __name__ == '__main__':\n    run_jobs(work, [{str(tmp_path / 'pid')!r}], workers=1, title='x')\n"
    )
    (tmp_path / "parent.py").write_text(script)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
        assert parent.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    worker = int((tmp_path / "pid").read_text())
    parent.kill()
    parent.wait()
    while Path(f"/proc/{worker}").exists() and "Z" not in Path(f"/proc/{worker}/stat").read_text().split()[2]:
        assert time.monotonic() < until
        time.sleep(0.02)


_LOSES_A_SIGNAL = (
    "before = signal.getsignal(signal.SIGINT)\n"
    "    signal.signal(signal.SIGINT, lambda *_: signal.signal(signal.SIGINT, before))"
)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of one process")
@pytest.mark.parametrize("first", ["pass", _LOSES_A_SIGNAL], ids=["reached", "first signal lost"])
def test_an_interrupted_run_interrupts_its_workers(tmp_path, first) -> None:
    """Also workers that Ctrl-C did not reach because they had not started: here only the parent receives it.

    Python loses a signal for as long as a system call lasts if it arrives just before the call: the second wakes it.
    """
    script = (
        "import pathlib, signal, time\nfrom marey.base.jobs import run_jobs\n"
        # The file is created inside `try`, because the signal may come at once.
        f"def work(path):\n    {first}\n    try:\n        pathlib.Path(path).touch()\n        time.sleep(100)\n"
        "    finally:\n        pathlib.Path(path).unlink()\n"
        f"if __name__ == '__main__':\n    run_jobs(work, [{str(tmp_path / 'at_work')!r}] * 3, workers=1, title='x')\n"
    )
    (tmp_path / "parent.py").write_text(script)
    with subprocess.Popen([sys.executable, tmp_path / "parent.py"], stderr=subprocess.DEVNULL) as parent:
        until = time.monotonic() + 60
        while not (tmp_path / "at_work").exists():
            assert parent.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        parent.send_signal(signal.SIGINT)
        parent.wait(60)
    assert not (tmp_path / "at_work").exists()


def test_an_ended_run_leaves_other_processes_alone() -> None:
    """Processes that the caller starts while it reads the results: they are not interrupted, and not waited for."""
    results = each_job(abs, [-1, -2, -3], workers=1, title="x", chunk=1)
    assert next(results) == 1
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    other.start()
    try:
        results.close()
        other.join(0.5)
        assert other.is_alive()
    finally:
        other.kill()
        other.join()


def test_a_link_to_a_file_leaves_the_file_itself_alone(tmp_path) -> None:
    (tmp_path / "a").write_text("content")
    link(tmp_path / "a", tmp_path / "a")
    link(tmp_path / "a", tmp_path / "b")
    link(tmp_path / "b", tmp_path / "a")
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text() == "content"
    assert not (tmp_path / "a").is_symlink()
