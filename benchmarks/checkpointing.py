"""Measure gradient checkpointing: memory and processor time of a training step with and without it.

python benchmarks/checkpointing.py [BATCH]

Each setting runs in a process of its own, since the peak memory of a process never falls.
"""

import json
import platform
import resource
import subprocess
import sys
import time
from typing import Any

import torch
from torch import Tensor, nn

from marey.models.layers.checkpointing import recompute_blocks
from marey.recipes import get_recipe

NAMES = ("slowonly_r50_8x8_k400", "slowfast_r50_4x16_k400", "tsn_r50_8seg_k400")
STEPS = 3
MIB = 2**20


def highest() -> float:
    """The peak memory of this process so far, in MiB (Linux reports KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def step(network: nn.Module, clip: Tensor) -> float:
    """Processor seconds of one forward and backward pass."""
    network.zero_grad()
    begun = time.process_time()
    network(clip).square().mean().backward()
    return time.process_time() - begun


def saved_bytes(network: nn.Module, clip: Tensor) -> int:
    """Bytes that autograd saves in a forward pass, without the parameters; shared storages count once."""
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = network(clip)
    total = sum(found.values())
    del logits
    return total


def measure(name: str, batch: int, checkpointing: bool) -> dict[str, Any]:
    """MiB saved for the backward pass, MiB that a step adds to the process, and processor seconds of a step."""
    recipe = get_recipe(name)
    torch.manual_seed(0)
    network = recipe.model.build().train()
    if checkpointing:
        recompute_blocks(network)
    clip = torch.randn(batch, 3, recipe.clip.segments * recipe.clip.frames, 224, 224)
    before = highest()
    step(network, clip)
    added = highest() - before
    seconds = min(step(network, clip) for _ in range(STEPS - 1))
    return {"saved": saved_bytes(network, clip) / MIB, "added": added, "seconds": seconds}


def main() -> None:
    batch = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"batch {batch}: MiB kept for the backward pass | MiB that a step adds | processor seconds of a step")
    for name in NAMES:
        for checkpointing in (False, True):
            command = [sys.executable, __file__, "--one", name, str(batch), str(int(checkpointing))]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            label = f"{name}{', recomputed' if checkpointing else ''}"
            print(f"{label}: {found['saved']:.0f} | {found['added']:.0f} | {found['seconds']:.2f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]), sys.argv[4] == "1")))
    else:
        main()
