"""Joining the processes of a run: torchrun alone decides which belong together."""

import torch

from marey.training.distributed import start_fabric


def test_one_process_within_a_job_of_several_slurm_tasks(monkeypatch) -> None:
    """Fabric by itself fails there with "You set `--ntasks=2`": it assumes that the job's tasks are processes of the run."""
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_JOB_NAME", "night")
    for name in ("PROCID", "LOCALID", "NODEID"):
        monkeypatch.setenv(f"SLURM_{name}", "0")
    assert start_fabric(torch.device("cpu"), "float32").world_size == 1
