"""When a network is tuned after a classifier was fitted on its features: a word for options, known without torch."""

from typing import Literal, TypeAlias

Finetune: TypeAlias = Literal["auto", "always", "never"]
""""auto": where the time that is allowed for it suffices."""
