"""Decoding under limits: the results are the same, and a video that hangs or ends its process costs only itself."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from marey.base.errors import DataError, RunError
from marey.base.limited.pool import in_item_order
from marey.base.reporter import reporting
from marey.data.files.quarantine import Broken
from marey.data.lists.manifest import Manifest
from marey.data.lists.read_manifest import read_manifest
from marey.data.lists.videos import VideoList
from marey.data.loading import limited_decoding
from marey.data.loading.datasets import ViewDataset
from marey.data.loading.limited_decoding import Decoded, Limits
from marey.data.loading.view_decoder import DecodedVideo, ViewDecoder
from marey.video.flow.rule import FlowRule
from marey.video.pixels import Pixels
from marey.video.sampling import MMAction2Test
from marey.video.writing.writer import write_video
from tests.support.collecting import Collecting
from tests.support.made_videos import coded_frame, encode
from tests.support.odd_decoders import CannotBegin, DiesAtOnce, OddDecoder

RULES = MMAction2Test(frames=4), Pixels(short_side=32)
MORE = "--decode-seconds, in Python Limits(seconds=...), allows more"
MORE_MEMORY = "--decode-memory, in Python Limits(memory=...), allows more"
AMPLE = Limits(seconds=250)
"""Limits that no test exceeds because the machine is busy."""


def decode_limited(
    views: ViewDataset, rows: Iterable[int], *, workers: int | None, limits: Limits
) -> Iterator[Decoded]:
    """The results of these rows in their order, decoded for one network."""
    videos = (views.videos[row] for row in rows)
    with contextlib.closing(
        limited_decoding.decode_limited((views.decoder,), videos, workers=workers, limits=limits)
    ) as found:
        yield from in_item_order((number, one) for number, _, (one,) in found)


class OddViews(ViewDataset):
    kind = OddDecoder

    def __init__(self, *ids: str, root: Path = Path("v")) -> None:
        super().__init__(VideoList(np.array(ids), root), *RULES)

    @property
    def decoder(self) -> OddDecoder:
        return self.kind(self.sampling, self.pixels, self.flow)


def decoded(views: ViewDataset, *, workers: int = 1, limits: Limits = AMPLE) -> list[Decoded]:
    found = list(decode_limited(views, range(len(views)), workers=workers, limits=limits))
    assert multiprocessing.active_children() == []
    return found


def in_words(found: list[Decoded]) -> list[str]:
    """The reason of each broken video, and the id of each other one."""
    return [one.item.reason if isinstance(one.item, Broken) else one.item.id for one in found]


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def method(request):
    """Sets the start method of `multiprocessing` for one test."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(request.param, force=True)
    yield request.param
    multiprocessing.set_start_method(before, force=True)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for i in range(3):
        write_video(folder / f"v{i}.mp4", [coded_frame(n + i) for n in range(9)], fps=10, preset="ultrafast")
    cut = folder / "cut.mp4"
    cut.write_bytes((folder / "v0.mp4").read_bytes()[:900])
    (folder / "none.mp4").write_bytes(b"no video")
    lines = ["path,label,start,end", *(f"{name}.mp4,run,," for name in ("v0", "cut", "v1", "gone", "none", "v2"))]
    (folder / "l.csv").write_text("\n".join([*lines, "v1.mp4,jump,0.25,0.6", "v1.mp4,jump,5,6", ""]))
    return read_manifest(folder / "l.csv")


@pytest.mark.parametrize("workers", [0, 2])
def test_results_equal_those_of_the_data_set_bit_for_bit(manifest, workers) -> None:
    check_equal(manifest, workers)


@pytest.mark.slow
def test_results_do_not_depend_on_how_processes_are_started(manifest, method) -> None:
    check_equal(manifest, workers=2)


def check_equal(manifest: Manifest, workers: int) -> None:
    views = ViewDataset(manifest, *RULES, identify=True)
    rows = [0, 1, 2, 3, 4, 5, 6, 7, 2, 0]
    found = list(decode_limited(views, rows, workers=workers, limits=Limits(seconds=250)))
    for row, one in zip(rows, found, strict=True):
        plain = views[row]
        assert one.seconds > 0
        if isinstance(plain, Broken):
            assert one.item == plain
            continue
        assert isinstance(one.item, DecodedVideo)
        for name in ("frames", "clips", "seconds"):
            mine, same = getattr(one.item, name), getattr(plain, name)
            np.testing.assert_array_equal(mine, same)
            assert (mine.dtype, mine.flags.writeable) == (same.dtype, True)
        for name in ("id", "duration", "identity"):
            assert getattr(one.item, name) == getattr(plain, name)
    assert [isinstance(one.item, Broken) for one in found[:8]] == [False, True, False, True, True, False, False, True]


@pytest.mark.skipif(sys.platform == "win32", reason="signals have names there that Windows does not know")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_video_that_ends_its_process_costs_only_itself(workers) -> None:
    views = OddViews("a", "crash-1", "b", "crash-2", "exit-1", "leave-1", "c", "wrong-1", "killed-1", "d")
    ended = "decoding crashed: its process ended"
    assert in_words(decoded(views, workers=workers)) == [
        "a",
        f"v/crash-1: {ended} by SIGSEGV",
        "b",
        f"v/crash-2: {ended} by SIGSEGV",
        f"v/exit-1: {ended} with exit code 3",
        f"v/leave-1: {ended} with exit code 4",
        "c",
        "v/wrong-1: decoding failed: ValueError: this was not foreseen (odd_decoders.py, line 48)",
        f"v/killed-1: {ended} by SIGKILL, as when memory runs out",
        "d",
    ]


def test_a_video_that_hangs_is_stopped(tmp_path) -> None:
    """It hangs in a call that sleeps, or in one that lets no other thread of its process run."""
    found = decoded(OddViews("sleep-1", "a", "spin-1", "b"), workers=2, limits=Limits(seconds=4))
    late = f"took longer than 4 s (its file states no duration) and was stopped: {MORE}"
    assert in_words(found) == [f"v/sleep-1: decoding {late}", "a", f"v/spin-1: decoding {late}", "b"]
    assert min(found[0].seconds, found[2].seconds) >= 4


def test_a_video_that_hangs_is_stopped_while_the_caller_is_busy() -> None:
    found = decode_limited(OddViews("sleep-1", "b"), [1, 0, 1, 1], workers=1, limits=Limits(seconds=3))
    own = next(found).item.identity
    while own in {process.pid for process in multiprocessing.active_children()}:
        time.sleep(0.05)  # the caller does not ask for the next video
    assert in_words(list(found)) == [
        f"v/sleep-1: decoding took longer than 3 s (its file states no duration) and was stopped: {MORE}", "b", "b",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_long_video_gets_more_time(tmp_path) -> None:
    encode(tmp_path / "file-1.mp4", 20)
    seconds = 20 / 25
    views = OddViews("file-1.mp4", "file-2.mp4", root=tmp_path)
    found = decoded(views, workers=2, limits=Limits(seconds=4, times_duration=100 / seconds))
    assert in_words(found)[0] == "file-1.mp4"
    assert in_words(found)[1].endswith(
        f"decoding took longer than 4 s (its file states no duration) and was stopped: {MORE}"
    )
    few = decoded(OddViews("file-1.mp4", root=tmp_path), limits=Limits(seconds=4, times_duration=2))
    assert "took longer than 4 s (2 times its duration of 0.8 s is less) and was stopped" in in_words(few)[0]


@pytest.mark.slow
def test_a_video_whose_flow_is_computed_gets_time_for_each_field(tmp_path) -> None:
    views = OddViews("slow-6", root=tmp_path)
    views.flow = FlowRule()
    assert in_words(decoded(views, limits=Limits(seconds=4, seconds_a_field=25))) == ["slow-6"]
    (late,) = in_words(decoded(views, limits=Limits(seconds=2, seconds_a_field=0.5)))
    assert "took longer than 4 s (its file states no duration; 0.5 s for each of 4 fields of flow)" in late


def test_fields_are_counted_where_flow_is_computed(tmp_path) -> None:
    for name in ("flow_x_00001.jpg", "flow_y_00001.jpg"):
        (tmp_path / name).touch()
    stored, plain = VideoList(np.array(["", "a.mp4"]), tmp_path)
    assert ViewDecoder(MMAction2Test(clips=2, frames=8), Pixels()).fields(plain) == 0
    flow = ViewDecoder(MMAction2Test(clips=2, frames=8), Pixels(), FlowRule())
    assert (flow.fields(plain), flow.fields(stored)) == (16, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is watched, and not refused")
def test_too_much_memory_costs_the_video_and_its_process_is_replaced() -> None:
    found = decoded(OddViews("a", "large-1", "ffmpeg-1", "b"), limits=Limits(seconds=250, memory=200_000_000))
    why = f"decoding needs more than the 0.2 GB of memory that are allowed: {MORE_MEMORY}"
    assert in_words(found) == ["a", f"v/large-1: {why}", f"v/ffmpeg-1: {why}", "b"]
    first, last = found[0].item, found[-1].item
    assert isinstance(first, DecodedVideo)
    assert isinstance(last, DecodedVideo)
    assert first.identity != last.identity


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is watched, and not refused")
def test_a_decoder_that_gets_no_memory_is_recognised_by_its_error(tmp_path) -> None:
    """The error is FFmpeg's, which needs memory for frames of this size before we do."""
    write_video(tmp_path / "a.mp4", [np.zeros((2160, 3840, 3), np.uint8)] * 2, fps=10, preset="ultrafast")
    views = ViewDataset(VideoList.from_paths([tmp_path / "a.mp4"]), *RULES)
    found = decoded(views, limits=Limits(seconds=250, memory=4_000_000))
    assert in_words(found) == [
        f"{tmp_path / 'a.mp4'}: decoding needs more than the 0.004 GB of memory that are allowed: {MORE_MEMORY}"
    ]
    assert in_words(decoded(views)) == [str(tmp_path / "a.mp4")]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_the_data_arrives_as_it_was_raised(workers) -> None:
    with pytest.raises(DataError) as caught:
        decoded(OddViews("a", "refuse-1", "b"), workers=workers)
    assert str(caught.value) == "x.csv: this is what is wrong."
    assert multiprocessing.active_children() == []


def test_messages_of_processes_are_reported_once_by_this_process(capfd) -> None:
    with reporting(kept := Collecting()):
        decoded(OddViews("say-1", "say-2", "say-3"), workers=2)
    assert sorted(kept.notices) == ["at say-1", "at say-2", "at say-3"]
    assert kept.warnings == ["no compiler on this machine"]
    assert capfd.readouterr() == ("", "")


def test_early_results_wait_for_their_turn() -> None:
    taken = []

    def numbered() -> Iterator[tuple[int, str]]:
        for number in (2, 0, 1, 4, 3):
            taken.append(number)
            yield number, f"v{number}"

    found = in_item_order(numbered())
    assert next(found) == "v0"
    assert taken == [2, 0]
    assert list(found) == ["v1", "v2", "v3", "v4"]


def test_a_video_that_hangs_delays_no_other() -> None:
    """Except the one that waits for the same process."""
    ids = ["sleep-1", *(f"v{n}" for n in range(20))]
    views = OddViews(*ids)
    found = limited_decoding.decode_limited((views.decoder,), views.videos, workers=2, limits=AMPLE)
    arrived = [(number, video.id, one.item.id) for number, video, (one,) in itertools.islice(found, 19)]
    found.close()
    assert all(ids[number] == named == own for number, named, own in arrived)
    assert len({number for number, _, _ in arrived} - {0}) == 19


def test_other_videos_are_decoded_up_to_the_spread(tmp_path) -> None:
    views, asked = OddViews("until-1", *(f"v{n}" for n in range(9)), root=tmp_path), []
    videos = (asked.append(video) or video for video in views.videos)
    found = limited_decoding.decode_limited((views.decoder,), videos, workers=2, limits=AMPLE, spread=5)
    arrived = [number for number, _, _ in itertools.islice(found, 3)]
    assert len(set(arrived) & {1, 2, 3, 4}) == 3  # and one waits for the process of the first
    (tmp_path / "until-1").touch()
    arrived += [number for number, _, _ in found]
    assert sorted(arrived) == list(range(10))
    assert len(asked) == 10


def test_no_video_is_started_beyond_the_spread(tmp_path) -> None:
    asked = itertools.count()
    views = OddViews("until-1", *(f"v{n}" for n in range(9)), root=tmp_path)
    videos = (views.videos[next(asked)] for _ in range(10))
    found = limited_decoding.decode_limited((views.decoder,), videos, workers=2, limits=AMPLE, spread=4)
    list(itertools.islice(found, 2))
    assert next(asked) == 4
    found.close()


def test_videos_are_taken_as_there_is_room() -> None:
    asked = itertools.count()
    decoder, (video,) = OddViews("a").decoder, OddViews("a").videos
    videos = (video for _ in range(1000) if next(asked) >= 0)
    found = limited_decoding.decode_limited((decoder,), videos, workers=2, limits=AMPLE)
    next(found)
    assert next(asked) == 4
    next(found)
    assert next(asked) == 6  # our own call above counted, too
    found.close()
    assert multiprocessing.active_children() == []


def test_an_empty_list_starts_no_process() -> None:
    assert decoded(OddViews(), workers=2) == []


def test_an_iterator_that_is_dropped_leaves_no_process() -> None:
    for one in decode_limited(OddViews("a", "sleep-1", "b"), [0, 1, 2, 1], workers=2, limits=AMPLE):
        assert isinstance(one.item, DecodedVideo)
        break
    del one
    assert multiprocessing.active_children() == []


def test_processes_that_cannot_begin_are_an_error_of_the_run() -> None:
    class Views(OddViews):
        kind = CannotBegin

    with pytest.raises(RunError) as caught:
        decoded(Views("a", "b"))
    assert str(caught.value).startswith("a worker process cannot begin: ImportError: No module named 'codec'")
    assert multiprocessing.active_children() == []


def test_processes_that_die_before_they_begin_are_an_error_of_the_run() -> None:
    class Views(OddViews):
        kind = DiesAtOnce

    with pytest.raises(RunError, match=r"3 processes .* ended before they began one, the last with exit code 5"):
        decoded(Views("a", "b"))
    assert multiprocessing.active_children() == []


PROGRAM = """
import os, signal, sys
from pathlib import Path
from test_limited_decoding import OddViews
from test_limited_decoding import decode_limited
from test_limited_decoding import Limits

if __name__ == "__main__":
    views = OddViews(*sys.argv[3:], root=Path(sys.argv[2]))
    found = decode_limited(views, range(len(views)), workers=2, limits=Limits(seconds=3))
    for one in found:
        print(one.item.id, getattr(one.item, "reason", ""), flush=True)
        if sys.argv[1] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if sys.argv[1] == "leave":
            break
"""


def program(*words: str, **options: object) -> subprocess.Popen[str]:
    """Start PROGRAM, which treats its first result as the first word says. Its output closes when its last process ends."""
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, **options,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(("does", "code"), [("kill", -9), ("leave", 0)])
def test_processes_end_when_the_program_ends_in_any_way(does, code, tmp_path) -> None:
    with program(does, str(tmp_path), "a", "slow-2000", "slow-3000") as run:
        out, err = run.communicate(timeout=120)
    assert (run.returncode, out, err) == (code, "a \n", "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Ctrl-Z")
def test_a_program_that_was_stopped_for_a_while_continues(tmp_path) -> None:
    """As by Ctrl-Z: time in which the program was stopped does not count."""
    with program("all", str(tmp_path), "a", "slow-1.5", start_new_session=True) as run:
        while not (tmp_path / "slow-1.5").exists():
            time.sleep(0.01)
        os.killpg(run.pid, signal.SIGSTOP)
        time.sleep(8)
        os.killpg(run.pid, signal.SIGCONT)
        out, err = run.communicate(timeout=120)
    assert (run.returncode, out, err) == (0, "a \nslow-1.5 \n", "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C otherwise")
def test_ctrl_c_ends_only_the_program(tmp_path) -> None:
    """The terminal sends it to the processes, too; they print nothing and end with the program."""
    with program("all", str(tmp_path), "a", "slow-2000", start_new_session=True) as run:
        while not (tmp_path / "slow-2000").exists():
            time.sleep(0.01)
        os.killpg(run.pid, signal.SIGINT)
        out, err = run.communicate(timeout=120)
    assert out == "a \n"
    assert err.count("Traceback") == 1
    assert err.strip().endswith("KeyboardInterrupt")


def run_script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text("from test_limited_decoding import OddViews, decode_limited, Limits\n" + text)
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=200, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


CALL = "list(decode_limited(OddViews('a'), [0], workers=1, limits=Limits()))\nprint('done')\n"


def test_processes_do_not_run_the_main_script(tmp_path) -> None:
    done = run_script(tmp_path, f"print('begun')\n{CALL}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "begun\ndone\n", "")


@pytest.mark.slow
def test_a_script_that_defines_the_work_gets_an_error_with_what_to_write(tmp_path) -> None:
    own = "from tests.support.odd_decoders import OddDecoder\nclass Own(OddDecoder):\n    pass\nOddViews.kind = Own\n"
    done = run_script(tmp_path, own + CALL)
    assert done.returncode == 1
    assert done.stderr.strip().endswith('put it under `if __name__ == "__main__":`, or pass workers=0.'), done.stderr
