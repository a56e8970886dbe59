"""A table made on a Ray cluster of two nodes on this machine, one of which may be killed in the middle.

python ray_job.py CHECKPOINT LIST OUT [--kill-after ROWS]
"""

import argparse
import os
import signal
import threading
from functools import partial
from pathlib import Path

from marey.backends.compute import Compute
from marey.data.lists.pieces import read_in_pieces
from marey.data.loading.limited import Limits
from marey.engines import on_ray
from marey.engines.fill import fill
from marey.engines.job import Job
from marey.engines.ray_cluster import joined, require_ray
from marey.engines.work import Answers
from marey.weights.load import load_model

CORES = 2
QUICK = {
    "health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}  # fmt: skip
"""A node that was killed is noticed after a few seconds."""


def descendants(pid: int) -> list[int]:
    """The processes below one, itself included."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("list")
    parser.add_argument("out", type=Path)
    parser.add_argument("--kill-after", type=int)
    given = parser.parse_args()
    os.environ.update(RAY_worker_niceness="0")  # beside other tests, processes of a lower priority would hardly run
    require_ray()
    from ray.cluster_utils import Cluster

    here = Path.cwd()
    os.chdir("/")  # nodes are not started where the command is
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 100 << 20, "_system_config": QUICK}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=CORES, object_store_memory=150 << 20) for _ in range(2)]
    os.chdir(here)
    compute, seen = Compute(), 0
    work = partial(Answers, load_model(given.checkpoint), compute, videos=1, top=5)

    class Killing(on_ray.OnRay):
        """Kills a node after so many rows."""

        def results(self, job, rows):
            nonlocal seen
            for one in super().results(job, rows):
                seen += 1
                if seen == given.kill_after:
                    threading.Thread(target=kill).start()
                yield one

    def kill() -> None:
        for pid in descendants(nodes[1].all_processes["raylet"][0].process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        print(f"killed a node after {seen} rows", flush=True)

    with joined(cluster.address, decoding=4) as joined_cluster:
        print(joined_cluster.title, flush=True)
        job = Job(work(), read_in_pieces([given.list]), given.out)
        summary = fill(job, Killing(joined_cluster, work, Limits(seconds=250)))
    print(summary.as_text(), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
