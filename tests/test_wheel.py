"""The wheel is complete: it installs into an empty environment, and what README shows runs there, in README's order."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.front_page import README, ROOT, Piece, pieces

pytestmark = pytest.mark.slow

SHOWN = pieces(README.read_text(encoding="utf-8"))
SET_UP = {"python3", ".", "pip", "make"}
"""Programs whose lines fetch or set up; tests/test_readme.py parses them."""
FETCHES = ("marey predict r3d_r18_16x1_k400_torchvision ", "marey weights fetch ")
"""Lines that need the network: here they end with the line that says so."""
YOURS = "old.pth"
"""The file that README says its reader has: lines that name it end with the line that says that it is not there."""
OF_EXTRAS = {".parquet": 'pip install "marey[parquet]"'}
"""What is in lines that need an extra: here they end with the line that says how to get it."""

EVERY_MODULE = (ROOT / "tests" / "support" / "every_module.py").read_text(encoding="utf-8")
OUTSIDE = """
import importlib.util, pathlib, sys, marey
assert pathlib.Path(marey.__file__).is_relative_to(sys.prefix), marey.__file__
found = [name for name in ("pytest", "hypothesis", "openvino", "tensorboard", "mkdocs") if importlib.util.find_spec(name)]
assert not found, found
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built as README says, with pip's own isolation."""
    folder = tmp_path_factory.mktemp("wheel")
    checked("python", "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT), at=folder)
    return next(folder.glob("marey-*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> dict[str, str]:
    """Variables of a shell in which an environment is active that holds the wheel and what it declares, and nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    checked("python", "-m", "venv", "env", at=folder)
    programs = next(path for path in (folder / "env" / "bin", folder / "env" / "Scripts") if path.is_dir())
    python = str(programs / "python")
    checked(python, "-m", "pip", "install", "--constraint", str(ROOT / "constraints.txt"), str(wheel), at=folder)
    (folder / "home").mkdir()
    return {
        **outside(), "PATH": os.pathsep.join([str(programs), os.defpath]), "HOME": str(folder / "home"),
        "MAREY_OFFLINE": "1", "COLUMNS": "200",
    }  # fmt: skip


def outside() -> dict[str, str]:
    """This process's variables without those by which Python or Marey finds the checkout, its environment or a cache."""
    left_out = ("PYTHON", "VIRTUAL_ENV", "MAREY_", "XDG_CACHE", "PYTEST", "COV_")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


def checked(program: str, *words: str, at: Path) -> None:
    program = sys.executable if program == "python" else program
    done = subprocess.run([program, *words], cwd=at, env=outside(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"


def test_the_wheel_holds_every_file_of_the_package(wheel) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    package = ROOT / "src"
    files = {path.relative_to(package).as_posix() for path in (package / "marey").rglob("*") if path.is_file()}
    assert {name for name in files if "__pycache__" not in name} <= held


@pytest.mark.skipif(shutil.which("bash") is None, reason="README's lines are for a POSIX shell")
def test_what_readme_shows_runs_in_an_empty_environment(environment, tmp_path) -> None:
    for code in (OUTSIDE, EVERY_MODULE):
        assert_right(run(Piece("python", code), environment, tmp_path))
    ran = 0
    for piece in SHOWN:
        if piece.kind == "shell" and piece.commands[0][0] in SET_UP:
            continue
        done = run(piece, environment, tmp_path)
        if piece.text.startswith(FETCHES):
            assert done.returncode == 1, told(done)
            assert "MAREY_OFFLINE" in done.stderr, told(done)
        elif YOURS in piece.text:
            assert done.returncode == 1, told(done)
            assert f"{YOURS}: no such" in done.stderr, told(done)
        elif extra := next((way for part, way in OF_EXTRAS.items() if part in piece.text), None):
            assert done.returncode == 1, told(done)
            assert extra in done.stderr, told(done)
        else:
            assert_right(done)
            ran += 1
    assert ran >= 10


def run(piece: Piece, environment: dict[str, str], at: Path) -> subprocess.CompletedProcess[str]:
    """In a folder that was empty before README's first line."""
    words = ["bash", "-c", piece.text] if piece.kind == "shell" else ["python", "-c", piece.text]
    program = shutil.which(words[0], path=environment["PATH"])
    assert program is not None, words[0]
    return subprocess.run([program, *words[1:]], cwd=at, env=environment, capture_output=True, text=True, check=False)


def assert_right(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, told(done)
    assert "Traceback" not in done.stderr, told(done)


def told(done: subprocess.CompletedProcess[str]) -> str:
    return f"{done.args[-1]}\nexit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
