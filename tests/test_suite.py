"""The suite's own configuration: a test that crashes or hangs ends the run with an error that names it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import support

ROOT = Path(__file__).parents[1]
LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere nothing forks, and a zeroed mutex may be no mutex"
)

MANY_CRASH = """
import os, time, pytest

@pytest.mark.parametrize("number", range(12))
def test_many(number):
    time.sleep(0.01 * number)
    if number in (3, 4, 6, 7, 9):
        os.abort()
"""
CRASH_WITH_A_CHILD = """
import multiprocessing, os, time

def test_leaves_a_child():
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,)).start()
    os.abort()
"""
HANGS = """
import subprocess, sys

def test_waits():
    subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"])
"""
HANGS_IN_C = """
import ctypes

def test_never_returns():
    # Locked twice, and by PyDLL with the GIL held: no Python code of this process runs any more, no signal handler either.
    mutex, libc = ctypes.create_string_buffer(256), ctypes.PyDLL(None)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)
"""


def run(tmp_path: Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    """One test file under the repository's own configuration, as `make test` starts it."""
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "tests" / "test_it.py").write_text(test)
    makefile = (ROOT / "Makefile").read_text()
    assert "pytest -n auto --dist worksteal\n" in makefile, "test these options instead"
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "worksteal", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("test", "options", "told"),
    [
        (MANY_CRASH, [], "crashed while running 'tests/test_it.py::test_many["),
        pytest.param(
            CRASH_WITH_A_CHILD, [], "crashed while running 'tests/test_it.py::test_leaves_a_child'",
            marks=LINUX,
        ),
        (HANGS, ["--timeout=2"], "FAILED tests/test_it.py::test_waits - Failed: Timeout"),
        pytest.param(
            HANGS_IN_C, ["--timeout=1", "-o", "faulthandler_timeout=3"],
            "crashed while running 'tests/test_it.py::test_never_returns'", marks=LINUX,
        ),
    ],
    ids=["many crash", "a crash leaves a child", "hangs", "hangs in C"],
)  # fmt: skip
def test_a_test_that_hangs_or_crashes_ends_the_run_and_is_named(test, options, told, tmp_path) -> None:
    done = run(tmp_path, test, *options)
    assert done.returncode == 1, done.stdout + done.stderr
    assert told in done.stdout


def test_every_test_has_a_limit(pytestconfig) -> None:
    from tests.conftest import SLOW_LIMIT

    limit, last = float(pytestconfig.getini("timeout")), pytestconfig.getini("faulthandler_timeout")
    assert 0 < limit < SLOW_LIMIT < last
    assert pytestconfig.getini("faulthandler_exit_on_timeout")


def test_the_list_of_supporting_modules_is_complete() -> None:
    there = {file.stem for file in Path(support.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`(\w+)`", support.__doc__)) == there
