"""Leaving the processes of a run: no thread of Gloo may outlive its group."""

import weakref

import torch.distributed as dist

from marey.training.distributed import _leave_group


class Wrapper:
    """What holds its group and is part of a reference cycle, as wrapped networks with hooks can be."""

    def __init__(self) -> None:
        self.group, self.itself = dist.group.WORLD, self


def test_a_group_in_a_reference_cycle_ends_with_its_threads() -> None:
    """A group that lives on keeps its threads, and one that meets Python's shutdown aborts the process."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    group = weakref.ref(Wrapper().group)
    _leave_group()
    assert group() is None
    _leave_group()  # registered by each training of a process: the second call finds no group
