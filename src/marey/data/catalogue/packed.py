"""Facts that are too long for code, compressed beside it."""

import gzip
import json
from importlib.resources import files
from typing import Any


def unpack(name: str) -> Any:
    """The content of `name`.json.gz."""
    packed = files("marey.data.catalogue").joinpath(f"{name}.json.gz").read_bytes()
    return json.loads(gzip.decompress(packed))
