"""Fill a table on a Ray cluster of two nodes on this machine, one of which may be killed.

python -m tests.support.ray_job CHECKPOINT LIST OUT [--kill-after ROWS]
"""

import argparse
import os
import signal
import threading
from functools import partial
from pathlib import Path

from marey.backends.compute import Compute
from marey.data.lists.pieces import read_in_pieces
from marey.data.loading.limited_decoding import Limits
from marey.engines import ray_engine
from marey.engines.fill_table import fill_table
from marey.engines.ray_cluster import join_cluster, require_ray
from marey.engines.row_makers import PredictionRowMaker
from marey.engines.table_job import TableJob
from marey.weights.load import load_model
from tests.support.process_tree import descendants

CORES = 2
QUICK = {
    "health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}  # fmt: skip
"""Settings by which Ray notices a killed node after a few seconds."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("list")
    parser.add_argument("out", type=Path)
    parser.add_argument("--kill-after", type=int)
    given = parser.parse_args()
    os.environ.update(RAY_worker_niceness="0")  # with a lower priority they would hardly run beside other tests
    require_ray()
    from ray.cluster_utils import Cluster

    here = Path.cwd()
    os.chdir("/")  # nodes must not start in the folder of the command
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 100 << 20, "_system_config": QUICK}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=CORES, object_store_memory=150 << 20) for _ in range(2)]
    os.chdir(here)
    compute, seen = Compute(), 0
    make = partial(PredictionRowMaker, load_model(given.checkpoint), compute, videos=1, top=5)

    class Killing(ray_engine.RayEngine):
        """Kills a node after so many rows."""

        def results(self, job, rows):
            nonlocal seen
            for one in super().results(job, rows):
                seen += 1
                if seen == given.kill_after:
                    threading.Thread(target=kill).start()
                yield one

    def kill() -> None:
        for pid in descendants([nodes[1].all_processes["raylet"][0].process.pid]):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        print(f"killed a node after {seen} rows", flush=True)

    with join_cluster(cluster.address, decoding=4) as joined:
        print(joined.title, flush=True)
        job = TableJob(make(), read_in_pieces([given.list]), given.out)
        summary = fill_table(job, Killing(joined, make, Limits(seconds=250)))
    print(summary.as_text(), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
