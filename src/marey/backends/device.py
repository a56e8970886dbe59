"""Which device a network runs on."""

import torch

from marey.base.errors import RunError


def pick_device(name: str) -> torch.device:
    """The device of that name: "auto" (CUDA where there is one, else the CPU), "cpu", "cuda" or "cuda:1".

    Raises:
        RunError: an unknown name, or CUDA where torch sees none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise RunError(f"--device {name}: expected auto, cpu, cuda or cuda:N.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RunError(f"--device {name}: this torch sees no CUDA device; use --device cpu, or see `marey doctor`.")
    return device
