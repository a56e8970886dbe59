"""Leaving the processes of a run: no thread of Gloo may outlive its group."""

import weakref

import torch.distributed as dist

from marey.training.distributed import _leave_group


class Wrapper:
    """Holds its group and is part of a reference cycle, as wrapped networks with hooks can be."""

    def __init__(self) -> None:
        self.group, self.itself = dist.group.WORLD, self


def test_a_group_in_a_reference_cycle_ends_with_its_threads() -> None:
    """A group that is not released keeps its threads, and a thread that runs during Python's shutdown aborts the process."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    group = weakref.ref(Wrapper().group)
    _leave_group()
    assert group() is None
    _leave_group()  # each training in a process registers it: the second call finds no group
