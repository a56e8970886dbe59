"""What every test may use."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from marey.base.reporter import TerminalReporter, reporting

if TYPE_CHECKING:
    from tests.support.small_corpus import Corpus

SHARED = Path(__file__).resolve().parents[2] / "shared"
SLOW_LIMIT = 1200
"""Seconds that a slow test may take; the others' limit stands in pyproject.toml."""


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what runs in the background (`make test-all &`): commands that tests interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference data beside the repository; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("reference data (../shared) is not there")
    return SHARED


@pytest.fixture(scope="module")
def videos(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of videos of the classes jump and run. The module that asks for it states VIDEOS_PER_CLASS, and
    FRAMES_PER_VIDEO where that is not 8. Tests leave it as it was.
    """
    from tests.support.made_videos import write_videos

    frames = getattr(request.module, "FRAMES_PER_VIDEO", 8)
    return write_videos(tmp_path_factory.mktemp("videos"), request.module.VIDEOS_PER_CLASS, frames=frames)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Path:
    """Made clips, lists of them and a trained run under the names that the pages use. Tests leave it as it was."""
    from tests.support.prepared_folder import prepare

    return prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> "Corpus":
    """A tiny network, and a list of eleven videos of which two cannot be read. Tests leave it as it was."""
    from tests.support.small_corpus import make_corpus

    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Marey's cache while one test runs: a folder that is not there yet. The user's is neither read nor written."""
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for all tests of a module, so that they compute nothing twice."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MAREY_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def nothing_said_yet() -> Iterator[None]:
    """Each test has a reporter that was told nothing yet, of what is told once."""
    with reporting(TerminalReporter()):
        yield


@pytest.fixture
def forked() -> Iterator[None]:
    """Decoding workers are forked, so that they see what the test replaced in this process. Python 3.14 forks no more."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system cannot fork")
    default = multiprocessing.get_start_method()
    multiprocessing.set_start_method("fork", force=True)
    yield
    multiprocessing.set_start_method(default, force=True)


@pytest.fixture
def full_disk() -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """`with full_disk(2000):` no file can become larger than so many bytes, for this process and those that it starts."""
    resource = pytest.importorskip("resource")

    @contextlib.contextmanager
    def limited(most: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


def pytest_configure() -> None:
    """No test asks the network for weights."""
    os.environ["MAREY_OFFLINE"] = "1"
    # As in the command, before any test loads torch: with more threads than free cores, tests else take many times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform == "linux":
        ends = _EndsWithParent()
        os.register_at_fork(before=ends.note_parent, after_in_child=ends.begin)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests have a limit of their own."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT))


class _EndsWithParent:
    """A forked process (a decoding worker) holds pytest-xdist's pipes too.

    If it outlived a test process that crashed, pytest-xdist would not see the crash and wait for ever.
    """

    def __init__(self) -> None:
        # Looked up once here: in a forked child the loader's lock may be held by a thread that is not there any more.
        self._prctl = ctypes.CDLL(None).prctl
        self.note_parent()

    def note_parent(self) -> None:
        """In the process that is about to fork."""
        self._parent = os.getpid()

    def begin(self) -> None:
        """In the child: ask the kernel for SIGKILL when the parent ends, which does not tell of one that has ended."""
        pr_set_pdeathsig = 1
        self._prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != self._parent:
            os._exit(1)
