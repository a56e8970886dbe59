"""What every test may use."""

import os
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference data beside the repository; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("reference data (../shared) is not there")
    return SHARED


def pytest_configure() -> None:
    """Helper modules beside the tests import by name; no test asks the network for weights."""
    os.environ["MAREY_OFFLINE"] = "1"
    for folder in (".", "video", "golden", "weights"):
        sys.path.insert(0, str(Path(__file__).parent / folder))
