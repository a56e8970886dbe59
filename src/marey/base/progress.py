"""The names by which training speaks; elsewhere it is `marey.base.reporter`."""

from marey.base.reporter import notice as say
from marey.base.reporter import progress

__all__ = ["progress", "say"]
