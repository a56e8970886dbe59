"""Whether the network may be used."""

import os


def offline() -> bool:
    """Whether $MAREY_OFFLINE forbids the network."""
    return os.environ.get("MAREY_OFFLINE", "0") not in ("", "0")
