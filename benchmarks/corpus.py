"""What a corpus costs: a table made here, on one and on two nodes of Ray; a long list planned for Ray.

python benchmarks/corpus.py cost VIDEOS CHECKPOINT [--backend NAME]      processor time of a table, per hour of video
python benchmarks/corpus.py growth VIDEOS CHECKPOINT [--seconds 180]     Ray: two nodes against one, a core each
python benchmarks/corpus.py plan [ROWS]                                  time and memory until Ray has the rows of a list

VIDEOS is a folder. A node of `growth` is bound to one core with all its processes (as by taskset), and rows are counted
after its networks are up; processor time is that of the node's processes. Nothing else may run on the machine.
"""

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from marey.backends.compute import Compute
from marey.data.limited import Limits
from marey.data.listing import read_videos
from marey.data.pieces import as_pieces, read_in_pieces
from marey.engines.job import Job
from marey.engines.on_ray import OnRay
from marey.engines.ray_cluster import Cluster, joined, require_ray
from marey.engines.ray_videos import blocks
from marey.engines.work import Answers
from marey.video.length import stated_seconds
from marey.weights.load import load_model

WARM = 20
"""Rows before counting begins."""
TICKS = os.sysconf("SC_CLK_TCK")


def cost(videos: Path, checkpoint: str, backend: str) -> None:
    """Core-hours and hours of video, and what 1,000 hours would take."""
    listed = read_videos(videos)
    hours = sum(stated_seconds(video.path) or 0 for video in listed) / 3600
    with tempfile.TemporaryDirectory() as folder:
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        words = ["predict", checkpoint, str(videos), "--out", f"{folder}/a.parquet", "--backend", backend, "--quiet"]
        subprocess.run([sys.executable, "-m", "marey", *words], check=True)
        after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - begun
    core_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{backend}: {len(listed)} videos, {hours:.3f} h of video: {core_seconds:.1f} core-s, {seconds:.1f} s; "
        f"{core_seconds / len(listed):.2f} core-s a video; 1,000 h of video: {core_seconds / hours / 3.6:.0f} core-hours"
    )


def growth(videos: Path, checkpoint: str, seconds: float) -> None:
    """Rows a second of one node and of two, in steady state."""
    rates = [steady(videos, checkpoint, seconds, nodes) for nodes in (1, 2)]
    print(f"two nodes against one: {rates[1] / rates[0]:.2f}")


def steady(videos: Path, checkpoint: str, seconds: float, nodes: int) -> float:
    require_ray()
    from ray.cluster_utils import Cluster as LocalCluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 200 << 20}
    all_cores = os.sched_getaffinity(0)
    local = LocalCluster(initialize_head=True, head_node_args=head)
    started = []
    for core in sorted(all_cores)[:nodes]:
        os.sched_setaffinity(0, {core})
        started.append(local.add_node(num_cpus=1, object_store_memory=300 << 20))
    os.sched_setaffinity(0, all_cores)
    raylets = [node.all_processes["raylet"][0].process.pid for node in started]
    work = partial(Answers, load_model(checkpoint), Compute(), videos=1, top=5)
    listed = read_videos(videos)
    many = as_pieces(listed[np.tile(np.arange(len(listed)), 100)])
    try:
        with joined(local.address, decoding=2 * nodes) as cluster:
            return counted_rows(work, many, cluster, raylets, seconds)
    finally:
        local.shutdown()


def counted_rows(work: partial, many: object, cluster: Cluster, raylets: list[int], seconds: float) -> float:
    job = Job(work(), many, Path("unused.parquet"))
    rows = OnRay(cluster, work, Limits(seconds=250)).results(job, np.arange(many.rows))
    with contextlib.closing(rows):
        for _, _ in zip(range(WARM), rows, strict=False):
            pass
        begun, spent, count = time.monotonic(), processor_seconds(raylets), 0
        for _ in rows:
            count += 1
            if time.monotonic() - begun >= seconds:
                break
        took, spent = time.monotonic() - begun, processor_seconds(raylets) - spent
    print(
        f"{len(raylets)} nodes: {count} rows in {took:.0f} s, {count / took:.2f} a second; {spent / count:.3f} core-s a row "
        f"on the nodes, {spent / took / len(raylets):.2f} of each core busy",
        file=sys.stderr,
    )
    return count / took


def processor_seconds(raylets: list[int]) -> float:
    """Of all processes below these, and of those that ended there."""
    found = 0
    for pid in descendants(raylets):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found += sum(map(int, fields[11:15]))
    return found / TICKS


def descendants(roots: list[int]) -> Iterator[int]:
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = list(roots)
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    yield from found


def plan(rows: int) -> None:
    """From a list of so many rows, as a CSV, to blocks that Ray takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "l.csv"
        path.write_text(
            "path\n" + "\n".join(f"day_{n // 1000:05d}/camera_clip_{n:07d}.mp4" for n in range(rows)) + "\n"
        )
        require_ray().init(address="local", include_dashboard=False, log_to_driver=False)
        import ray

        before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        listed = read_in_pieces([path])
        read = time.monotonic() - begun
        videos = ((row, video) for piece in listed.pieces() for row, video in enumerate(piece))
        data = ray.data.from_blocks(list(blocks(videos)))
        took, memory = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(
            f"{rows:,} rows: list {read:.1f} s, all {took:.1f} s, {memory / 1024:.0f} MB more; {data.num_blocks()} blocks"
        )
        ray.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    for name in ("cost", "growth"):
        part = parts.add_parser(name)
        part.add_argument("videos", type=Path)
        part.add_argument("checkpoint")
        part.add_argument("--backend" if name == "cost" else "--seconds", default="eager" if name == "cost" else 180.0)
    parts.add_parser("plan").add_argument("rows", type=int, nargs="?", default=1_000_000)
    given = parser.parse_args()
    if given.part == "cost":
        cost(given.videos, given.checkpoint, given.backend)
    elif given.part == "growth":
        growth(given.videos, given.checkpoint, float(given.seconds))
    else:
        plan(given.rows)


if __name__ == "__main__":
    main()
