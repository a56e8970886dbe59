"""Versions are recorded also where a distribution is missing or has another name."""

import importlib.metadata
import sys
from types import SimpleNamespace

import pytest

import marey
from marey.base.versions import OPENCV, opencv, version_of, versions
from marey.workflows import doctor


class Installed(importlib.metadata.Distribution):
    """A distribution as its folder describes it: the files of a dist-info by name."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def read_text(self, filename: str) -> str | None:
        return self._files[filename].decode() if filename in self._files else None

    def locate_file(self, path):
        raise NotImplementedError


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
    """opencv-python in place of the wheel that Marey asks for, beside broken distributions."""
    broken = (Installed(files) for files in DAMAGED.values())
    installed(*broken, wheel("numpy"), opencv_python=wheel("opencv-python", "4.11.0.86", top_level=b"cv2\n"))


def test_what_is_installed() -> None:
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
    """The modules know their versions themselves; a distribution without a name brings nothing."""
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
    """As importlib.metadata itself reads it."""
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


def test_opencv_known_by_its_files(installed) -> None:
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
    assert "all works but `marey data flow --method tvl1_opencv`" in found.found
    with pytest.raises(DataError, match="lacks its contrib modules"):
        OpenCVTVL1().build()


@pytest.mark.parametrize(
    ("wheels", "well"),
    [([OPENCV], True), (["opencv-python"], True), ([OPENCV, "opencv-python"], False), ([], True)],
)
def test_one_opencv_of_any_name_is_no_clash(wheels, well, monkeypatch) -> None:
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [wheel(name) for name in [*wheels, "torch"]])
    assert doctor._clashes().well == well


def test_a_training_library_that_was_removed_with_another_is_told_of(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)  # what an import then meets
    found = doctor._clashes()
    assert not found.well
    assert found.mend == "pip install --force-reinstall --no-deps lightning-fabric"
