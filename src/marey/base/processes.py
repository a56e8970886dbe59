"""Several processes at the same work, as torchrun starts them."""

import os


def rank() -> int:
    """The number of this process, from 0; the first one writes and prints."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))
