"""Scripts that start processes without a guard, which spawn (Windows, macOS) and forkserver run again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from marey.base.errors import RunError
from marey.base.jobs import run_jobs
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model
from tests.support.made_videos import write_videos
from tests.support.tiny import RECIPE

ADVICE = 'put it under `if __name__ == "__main__":`, or pass workers=0.'

CALLS = {
    "evaluate": "print(marey.evaluate(model, 'videos', workers=1, out='out').num_videos)",
    "features": "print(marey.features(model, 'videos', workers=1, out='out').computed)",
    "fit": "print(marey.fit(model, train='videos', workers=1, out='out').steps)",
    "jobs": "from marey.base.jobs import run_jobs; print(run_jobs(abs, [-1, 2], workers=1, title='a'))",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spawn")
    write_videos(folder / "videos", 2)
    recipe = RECIPE.variant(train={"epochs": 1})
    save_checkpoint(folder / "model.safetensors", build_model(recipe), recipe, ["jump", "run"])
    return folder


def run(folder: Path, method: str, call: str, *, guarded: bool) -> subprocess.CompletedProcess[str]:
    lines = ["import multiprocessing", f"multiprocessing.set_start_method({method!r}, force=True)", "import marey"]
    work = ["model = marey.load_model('model.safetensors')", call]
    if guarded:
        work = ["if __name__ == '__main__':", *(f"    {line}" for line in work)]
    (folder / "script.py").write_text("\n".join([*lines, *work]))
    words, environment = [sys.executable, "script.py"], os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=folder, check=False, capture_output=True, text=True, timeout=300, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_the_error_states_the_guard_that_a_script_needs(folder, method, call) -> None:
    if method == "forkserver" and sys.platform == "win32":
        pytest.skip("Windows has spawn alone")
    done = run(folder, method, CALLS[call], guarded=False)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "resource_tracker" not in line and line.strip()]
    assert lines[-1].endswith(ADVICE), done.stderr
    assert not (folder / "out" / "run.json").exists(), "files of a run that did not begin would block the next one"
    for left in (folder / "out").glob("*"):
        left.unlink() if left.is_file() else None


@pytest.mark.slow
def test_a_guarded_script_works(folder, tmp_path) -> None:
    done = run(folder, "spawn", CALLS["evaluate"].replace("'out'", repr(str(tmp_path / "out"))), guarded=True)
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr


def dies(item: int) -> None:
    os._exit(3)


def test_a_job_that_dies_has_another_error() -> None:
    with pytest.raises(RunError, match="a worker process died"):
        run_jobs(dies, [1], workers=1, title="a")


def thread_limit(name: str) -> str | None:
    return os.environ.get(name)


def test_numpy_in_workers_computes_in_one_thread_unless_the_user_says_otherwise(monkeypatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    names = ["OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
    assert run_jobs(thread_limit, names, workers=1, title="a") == ["1", "3"]
    assert "OPENBLAS_NUM_THREADS" not in os.environ
