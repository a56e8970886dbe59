"""Measure the work for a table of a very long list: on this machine, on one and two nodes of Ray, and until Ray's first row.

python benchmarks/corpus.py cost VIDEOS CHECKPOINT [--backend NAME] [--device NAME]    what 1,000 hours of video take
python benchmarks/corpus.py growth VIDEOS CHECKPOINT      two cores against one, without Ray and with it
python benchmarks/corpus.py plan CHECKPOINT [--rows N]    time and memory from a long list to its first row on Ray

VIDEOS is a folder. In `growth` each node of Ray is bound to one core with all its processes (as by taskset), and each
process without Ray together with its decoding processes; rows are counted once the networks compute. No other program may
run meanwhile.
"""

import argparse
import contextlib
import multiprocessing
import operator
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import torch

from marey.backends.compute import Compute
from marey.data.lists.pieces import as_pieces, read_in_pieces
from marey.data.lists.read_videos import read_videos
from marey.data.loading.limited_decoding import Limits
from marey.engines.fill_table import LocalEngine
from marey.engines.ray_cluster import join_cluster, require_ray
from marey.engines.ray_engine import RayEngine
from marey.engines.row_makers import PredictionRowMaker
from marey.engines.table_job import TableJob
from marey.video.reading.containers import stated_seconds
from marey.weights.load import load_model
from tests.support.process_tree import descendants

WARM, FEW = 20, 3
"""Rows that are computed before counting begins: enough that all actors have started, that a backend has compiled."""
STARTED = 300.0
"""Seconds within which a process must be ready."""
ROWS = 20_000
"""Rows of the list: more than are computed while rows are counted."""
DECODING = 2
"""Videos that are decoded at a time for each core."""
LIMITS = Limits(seconds=250)
TICKS = os.sysconf("SC_CLK_TCK")


def cost(videos: Path, checkpoint: str, compute: Compute, seconds: float) -> None:
    """Print processor time and elapsed time per row in steady state on all cores, and for 1,000 hours of video."""
    listed = read_videos(videos)
    each = sum(stated_seconds(video.path) or 0.0 for video in listed) / len(listed)
    if not each:
        raise SystemExit(f"{videos}: no file states its duration")
    job = long_job(PredictionRowMaker(load_model(checkpoint), compute, videos=1, top=5), videos)
    with contextlib.closing(LocalEngine(compute).results(job, np.arange(job.videos.rows))) as rows:
        rate = counted_rows(rows, [os.getpid()], seconds, warm=FEW)
    core_seconds, took = rate.core_seconds / rate.rows, rate.seconds / rate.rows
    print(
        f"{Path(checkpoint).stem}, {compute.device}, {compute.backend}: {rate.rows} videos of {each:.1f} s in "
        f"{rate.seconds:.0f} s: {core_seconds:.3f} core-s and {took:.3f} s a video; 1,000 h of video: "
        f"{1000 / each * core_seconds:.0f} core-hours, {1000 / each * took:.0f} h of this machine"
    )


@dataclass(frozen=True)
class Rate:
    """Rows and time in steady state."""

    rows: int
    seconds: float
    core_seconds: float
    """Processor time of a node's processes, or, without Ray, of the process and its decoding processes."""

    def __add__(self, other: "Rate") -> "Rate":
        """The rate of both at the same time."""
        seconds = (self.seconds + other.seconds) / 2
        return Rate(self.rows + other.rows, seconds, self.core_seconds + other.core_seconds)


def growth(videos: Path, checkpoint: str, seconds: float) -> None:
    """Print rows per second on one core and on two, without Ray and with it, in steady state."""
    for title, measure in (("without Ray", without_ray), ("nodes of Ray", on_ray)):
        one, two = (measure(videos, checkpoint, seconds, cores) for cores in (1, 2))
        for cores, rate in ((1, one), (2, two)):
            each, busy = rate.core_seconds / rate.rows, rate.core_seconds / rate.seconds / cores
            print(
                f"{cores} {title}: {rate.rows} rows in {rate.seconds:.0f} s, {rate.rows / rate.seconds:.3f} a second; "
                f"{each:.3f} core-s a row, {busy:.0%} of each core"
            )
        print(f"{title}, two against one: {two.rows / two.seconds * one.seconds / one.rows:.2f}", flush=True)


def without_ray(videos: Path, checkpoint: str, seconds: float, cores: int) -> Rate:
    """The rate of `cores` processes at the same time, each with its own core and list."""
    context = multiprocessing.get_context("spawn")
    warm, found = context.Barrier(cores), context.Queue()
    bound = sorted(os.sched_getaffinity(0))[:cores]
    running = [context.Process(target=on_core, args=(videos, checkpoint, seconds, core, warm, found)) for core in bound]
    for process in running:
        process.start()
    rates = [found.get(timeout=seconds + 2 * STARTED) for _ in running]
    for process in running:
        process.join()
    return reduce(operator.add, rates)


def on_core(videos: Path, checkpoint: str, seconds: float, core: int, warm: Barrier, found: Queue) -> None:
    os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    job = long_job(PredictionRowMaker(load_model(checkpoint), Compute(), videos=1, top=5), videos)
    rows = LocalEngine(Compute(workers=DECODING), LIMITS).results(job, np.arange(job.videos.rows))
    with contextlib.closing(rows):
        found.put(counted_rows(rows, [os.getpid()], seconds, begin=partial(warm.wait, STARTED)))


def on_ray(videos: Path, checkpoint: str, seconds: float, cores: int) -> Rate:
    """The rate of `cores` nodes, each bound to one core; Ray's head and this process may use all cores."""
    require_ray()
    from ray.cluster_utils import Cluster as LocalCluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 200 << 20}
    all_cores = os.sched_getaffinity(0)
    local = LocalCluster(initialize_head=True, head_node_args=head)
    nodes = []
    try:
        for core in sorted(all_cores)[:cores]:
            os.sched_setaffinity(0, {core})  # the processes of a node inherit it
            nodes.append(local.add_node(num_cpus=1, object_store_memory=300 << 20))
    finally:
        os.sched_setaffinity(0, all_cores)
    raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
    work = partial(PredictionRowMaker, load_model(checkpoint), Compute(), videos=1, top=5)
    job = long_job(work(), videos)
    try:
        with join_cluster(local.address, decoding=DECODING * cores) as cluster:
            rows = RayEngine(cluster, work, LIMITS).results(job, np.arange(job.videos.rows))
            with contextlib.closing(rows):
                return counted_rows(rows, raylets, seconds)
    finally:
        local.shutdown()


def long_job(maker: PredictionRowMaker, videos: Path) -> TableJob:
    """A job that repeats these videos, with more rows than are counted."""
    listed = read_videos(videos)
    return TableJob(maker, as_pieces(listed[np.resize(np.arange(len(listed)), ROWS)]), Path("unused.parquet"))


def counted_rows(
    rows: Iterator, roots: list[int], seconds: float, *, warm: int = WARM, begin: Callable[[], object] = int
) -> Rate:
    """The rate of rows within `seconds`, after the first `warm` rows and a call of `begin`."""
    for _ in zip(range(warm), rows, strict=False):
        pass
    begin()
    begun, spent, count = time.monotonic(), processor_seconds(roots), 0
    for _ in rows:
        count += 1
        if time.monotonic() - begun >= seconds:
            break
    return Rate(count, time.monotonic() - begun, processor_seconds(roots) - spent)


def processor_seconds(raylets: list[int]) -> float:
    """Processor time of these processes and all their descendants, including those that have ended."""
    ticks = 0
    for pid in descendants(raylets):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS


def plan(rows: int, checkpoint: str) -> None:
    """Print the time from a CSV list of so many rows to the first row of its table, and the memory of this process."""
    work = partial(PredictionRowMaker, load_model(checkpoint), Compute(), videos=rows, top=5)
    before = peak_megabytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "l.csv"
        names = (f"day_{number // 1000:05d}/camera_clip_{number:07d}.mp4" for number in range(rows))
        path.write_text("\n".join(["path", *names]) + "\n")
        with join_cluster(None) as cluster:
            begun, joined_at = time.monotonic(), peak_megabytes()
            job = TableJob(work(), read_in_pieces([path]), Path("unused.parquet"))
            read = time.monotonic() - begun
            with contextlib.closing(RayEngine(cluster, work, LIMITS).results(job, np.arange(rows))) as found:
                next(found)
                took = time.monotonic() - begun
    print(
        f"{rows:,} rows: list {read:.1f} s, first row after {took:.1f} s; at the most {peak_megabytes():.0f} MB, of which "
        f"{before:.0f} with the network and {joined_at:.0f} with Ray"
    )


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    measured = {name: parts.add_parser(name) for name in ("cost", "growth")}
    for part in measured.values():
        part.add_argument("videos", type=Path)
        part.add_argument("checkpoint")
        part.add_argument("--seconds", type=float, default=180.0)
    measured["cost"].add_argument("--backend", default="eager")
    measured["cost"].add_argument("--device", default="cpu")
    measured["plan"] = parts.add_parser("plan")
    measured["plan"].add_argument("checkpoint")
    measured["plan"].add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    if given.part == "cost":
        cost(given.videos, given.checkpoint, Compute(device=given.device, backend=given.backend), given.seconds)
    elif given.part == "growth":
        growth(given.videos, given.checkpoint, given.seconds)
    else:
        plan(given.rows, given.checkpoint)


if __name__ == "__main__":
    main()
