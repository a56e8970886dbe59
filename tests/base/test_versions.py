"""Versions are recorded also where a distribution is missing or has another name."""

import importlib.metadata

import pytest

import marey
from marey.base import versions as module
from marey.base.versions import OPENCV, opencv, version_of, versions
from marey.workflows import doctor


@pytest.fixture
def no_metadata(monkeypatch) -> None:
    """As in a source tree, or an archive of files: no distribution is known."""

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", missing)
    monkeypatch.setattr(module, "packages_distributions", dict)


@pytest.fixture
def another_opencv(monkeypatch) -> None:
    """opencv-python in place of the wheel that Marey asks for."""
    known = module.version

    def version(name: str) -> str:
        if name == OPENCV:
            raise importlib.metadata.PackageNotFoundError(name)
        return "4.11.0.86" if name == "opencv-python" else known(name)

    monkeypatch.setattr(module, "version", version)
    monkeypatch.setattr(module, "packages_distributions", lambda: {"cv2": ["opencv-python"]})


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
    class Distribution:
        def __init__(self, name: str) -> None:
            self.metadata = {"Name": name}

    monkeypatch.setattr(
        importlib.metadata, "distributions", lambda: [Distribution(name) for name in [*wheels, "torch"]]
    )
    assert doctor._clashes().well == well
