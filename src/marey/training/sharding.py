"""State dicts of networks and optimisers, sharded over processes or not.

In data-parallel training every process holds complete tensors. In sharded training (torch's FSDP2, tensor parallelism) each
process holds a shard of every `DTensor`. Files always hold complete tensors.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor


def unsharded(state: Any, *, keep: bool) -> Any:
    """The same nested state with complete tensors on the CPU.

    Every process has to call it, because processes exchange their shards.

    Args:
        state: A state dict, or a part of one: dicts, lists, tensors and other values.
        keep: Whether this process needs the tensors. If not, each becomes an empty tensor, so that only the process that
            writes the file holds the complete state in memory.
    """
    if isinstance(state, DTensor):
        state = state.full_tensor()
    if isinstance(state, Tensor):
        return state.detach().cpu() if keep else torch.empty(0)
    if isinstance(state, dict):
        return {key: unsharded(item, keep=keep) for key, item in state.items()}
    if isinstance(state, list):
        return [unsharded(item, keep=keep) for item in state]
    return state


def shard_like(tensor: Tensor, target: Tensor) -> Tensor:
    """The complete `tensor`, sharded as `target` is; the tensor itself if `target` is not sharded."""
    if isinstance(target, DTensor):
        return distribute_tensor(tensor.to(target.device), target.device_mesh, target.placements)
    return tensor


def load_network(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load complete tensors into a network, sharded or not."""
    own = network.state_dict()
    network.load_state_dict({name: shard_like(t, own[name]) if name in own else t for name, t in tensors.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a state dict of complete tensors into an optimiser, whose parameters may be sharded."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = {
        index: {
            name: shard_like(value, parameters[index])
            if isinstance(value, Tensor) and value.shape == parameters[index].shape
            else value
            for name, value in values.items()
        }
        for index, values in state["state"].items()
    }
    optimizer.load_state_dict({"state": moments, "param_groups": state["param_groups"]})
