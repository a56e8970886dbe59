"""Versions are recorded even if a distribution is missing or has another name."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import marey
from marey.base.versions import OPENCV, commit, installation, opencv, version_of, versions
from marey.workflows import doctor


class Installed(importlib.metadata.Distribution):
    """A distribution as its folder describes it: the files of a dist-info by name."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def read_text(self, filename: str) -> str | None:
        return self._files[filename].decode() if filename in self._files else None

    def locate_file(self, path):
        """The path of a file that exists: from Python 3.12 on, missing ones are left out of `files`."""
        return Path(__file__)


def wheel(name: str, number: str = "1.0", **files: bytes) -> Installed:
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n".encode()
    return Installed({"METADATA": metadata} | {f"{file}.txt": text for file, text in files.items()})


DAMAGED = {
    "no METADATA": {"top_level.txt": b"cv2"},
    "no name, no version": {"METADATA": b"Metadata-Version: 2.1\n", "top_level.txt": b"cv2"},
    "not to be decoded": {"METADATA": b"Name: \xff\xfe\nVersion: 1\n", "top_level.txt": b"\xff"},
}


@pytest.fixture
def installed(monkeypatch):
    """Replace what is installed by distributions; the one at `names[name]` is found by that name."""

    def install(*found: Installed, **names: Installed) -> None:
        def by_name(name: str) -> Installed:
            try:
                return names[name.replace("-", "_")]
            except KeyError:
                raise importlib.metadata.PackageNotFoundError(name) from None

        monkeypatch.setattr(importlib.metadata, "distribution", by_name)
        monkeypatch.setattr(importlib.metadata, "distributions", lambda: [*found, *names.values()])

    return install


@pytest.fixture
def no_metadata(installed) -> None:
    """As in a source tree, or an archive of files: no distribution is known."""
    installed()


@pytest.fixture
def another_opencv(installed) -> None:
    """opencv-python instead of the required wheel, beside broken distributions."""
    broken = (Installed(files) for files in DAMAGED.values())
    installed(*broken, wheel("numpy"), opencv_python=wheel("opencv-python", "4.11.0.86", top_level=b"cv2\n"))


def test_installed_versions() -> None:
    found = versions()
    assert set(found) == {"torch", "numpy", "av", opencv()[0], "marey", "python"}
    assert found["numpy"] == importlib.metadata.version("numpy")


def test_without_metadata(no_metadata) -> None:
    import cv2
    import torch

    found = versions()
    assert found["marey"] == marey.__version__
    assert found["torch"] == str(torch.__version__)
    assert found["cv2"] == cv2.__version__
    assert version_of("no-such-thing", "no_such_module") == "unknown"
    assert doctor._versions().well
    assert doctor._opencv().found.startswith(f"cv2 {cv2.__version__}")


def test_another_opencv(another_opencv) -> None:
    assert opencv() == ("opencv-python", "4.11.0.86")
    assert versions()["opencv-python"] == "4.11.0.86"
    assert doctor._opencv().found.startswith("opencv-python 4.11.0.86")


@pytest.mark.parametrize("files", DAMAGED.values(), ids=DAMAGED)
def test_damaged_metadata(files, installed) -> None:
    """The modules have their versions; a distribution without a name has no modules."""
    import cv2
    import torch

    broken = Installed(files)
    installed(torch=broken, numpy=broken, av=broken, marey=broken, opencv_contrib_python_headless=broken)
    found = versions()
    assert found["torch"] == str(torch.__version__)
    assert found["marey"] == marey.__version__
    assert found["cv2"] == cv2.__version__
    assert all(isinstance(name, str) and isinstance(number, str) for name, number in found.items())
    assert doctor._versions().well
    assert doctor._opencv().well
    assert doctor._clashes().well


def test_a_folder_without_metadata_on_the_path(tmp_path, monkeypatch) -> None:
    """With the real importlib.metadata."""
    (tmp_path / "lost-1.0.dist-info").mkdir()
    (tmp_path / "torn-1.0.dist-info").mkdir()
    (tmp_path / "torn-1.0.dist-info" / "METADATA").write_bytes(b"Name: \xff\xfe")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert version_of("lost", "no_such_module") == version_of("torn", "no_such_module") == "unknown"
    assert None not in versions() and None not in versions().values()
    assert doctor._clashes().well


def test_a_module_without_a_version(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "silent", SimpleNamespace(__version__=None))
    assert version_of("silent", "silent") == "unknown"


def test_opencv_is_recognised_by_its_files(installed) -> None:
    files = {"METADATA": b"Name: opencv\nVersion: 4.9\n", "RECORD": b"cv2/__init__.py,,\nother/x.py,,\n"}
    installed(opencv=Installed(files))
    assert opencv() == ("opencv", "4.9")


def test_an_opencv_without_contrib_modules(monkeypatch) -> None:
    import cv2

    from marey.base.errors import DataError
    from marey.video.flow.methods import OpenCVTVL1

    monkeypatch.delattr(cv2, "optflow")
    found = doctor._opencv()
    assert found.well
    assert "without contrib modules everything works except `marey data flow --method tvl1_opencv`" in found.found
    with pytest.raises(DataError, match="lacks its contrib modules"):
        OpenCVTVL1().build()


@pytest.mark.parametrize(
    ("wheels", "well"),
    [([OPENCV], True), (["opencv-python"], True), ([OPENCV, "opencv-python"], False), ([], True)],
)
def test_one_opencv_of_any_name_is_no_clash(wheels, well, monkeypatch) -> None:
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [wheel(name) for name in [*wheels, "torch"]])
    assert doctor._clashes().well == well


def test_a_training_library_that_was_removed_with_another_is_reported(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)  # makes the import fail
    found = doctor._clashes()
    assert not found.well
    assert found.mend == "pip install --force-reinstall --no-deps lightning-fabric"


# marey --version ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A checkout of Marey with one commit, from which this Marey seems to run."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    root = tmp_path / "checkout"
    module = root / "src" / "marey" / "__init__.py"
    module.parent.mkdir(parents=True)
    module.write_text("")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", "one")
    git(root, "tag", "v1")
    monkeypatch.setattr(marey, "__file__", str(module))
    return root


def git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True).stdout.strip()


def test_versions_are_of_the_module_that_runs(installed) -> None:
    """An older version may be installed from another checkout."""
    installed(marey=wheel("marey", "0.0.1"))
    assert versions()["marey"] == marey.__version__
    assert installation()["marey"].startswith(marey.__version__)


def test_the_commit_of_a_checkout(checkout, monkeypatch) -> None:
    head = git(checkout, "rev-parse", "HEAD")[:12]
    assert commit() == head
    assert installation()["marey"] == f"{marey.__version__} (commit {head})"
    (checkout / "src" / "marey" / "__init__.py").write_text("changed")
    assert commit() == f"{head}-dirty"
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as in a hook of another repository
    assert commit() == f"{head}-dirty"


def test_without_git_the_commit_is_unknown(checkout, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert commit() is None
    assert installation()["marey"] == marey.__version__


def test_a_repository_around_an_environment_is_not_mareys(tmp_path, monkeypatch, installed) -> None:
    """`.venv` is often in the repository of a user's project."""
    module = tmp_path / ".venv" / "site-packages" / "marey" / "__init__.py"
    module.parent.mkdir(parents=True)
    module.write_text("")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".venv" / ".git").mkdir()
    monkeypatch.setattr(marey, "__file__", str(module))
    installed(marey=wheel("marey"))
    assert commit() is None


@pytest.mark.parametrize(
    ("recorded", "known"),
    [
        ({"url": "https://a.b/marey", "vcs_info": {"vcs": "git", "commit_id": "0123456789abcdef" * 2}}, "0123456789ab"),
        ({"url": "file:///marey.whl", "archive_info": {}}, None),
        ({"url": "file:///marey", "dir_info": {"editable": True}}, None),
        ([], None),
    ],
)
def test_the_commit_that_pip_recorded(recorded, known, tmp_path, monkeypatch, installed) -> None:
    monkeypatch.setattr(marey, "__file__", str(tmp_path / "a" / "b" / "__init__.py"))
    found = wheel("marey")
    found._files["direct_url.json"] = json.dumps(recorded).encode()
    installed(marey=found)
    assert commit() == known


def test_installation_names_what_is_missing_or_broken(monkeypatch) -> None:
    import av

    found = installation()
    assert list(found) == ["marey", "python", "torch", "av", OPENCV, "platform"]
    assert found["av"] == f"{av.__version__} (FFmpeg {av.ffmpeg_version_info})"

    monkeypatch.setattr(
        importlib.metadata, "distribution", lambda name: raised(importlib.metadata.PackageNotFoundError)
    )
    monkeypatch.setattr(importlib.metadata, "distributions", list)
    monkeypatch.setattr("marey.base.versions.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "av", None)
    found = installation()
    assert found["torch"] == "not installed: pip install --force-reinstall torch"
    assert found["av"] == "not installed: pip install --force-reinstall av"
    assert found[OPENCV] == f"not installed: pip install --force-reinstall {OPENCV}"


def raised(error: type[Exception]):
    raise error


def test_a_decoder_that_does_not_load_is_described(monkeypatch) -> None:
    def broken(name: str):
        raise OSError("libavcodec.so.62: no such file")

    monkeypatch.setattr("marey.base.versions.import_module", broken)
    assert installation()["av"].endswith(
        "which cannot be loaded (libavcodec.so.62: no such file): pip install --force-reinstall av"
    )
