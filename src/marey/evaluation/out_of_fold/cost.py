"""What fitting a classifier of one's own clips cost, and how fine-tuning compared with the head."""

from dataclasses import dataclass

from marey.base.words import counted, lasting, percent

_OF_HEADS = "All other numbers out of fold are those of the head. "


@dataclass(frozen=True)
class Cost:
    """What the answers cost."""

    computed: int
    """Clips that went through the network now."""
    kept: int
    """Clips whose features an earlier run had kept."""
    core_seconds: float
    """Seconds times processor cores, of decoding, network, and heads."""
    seconds: float
    """On the clock."""
    pictures: float = 0.0
    """Of the core-seconds, those for comparing the pictures of the clips."""

    @property
    def sentence(self) -> str:
        """The numbers in words."""
        kept = f", features of {self.kept:,} were kept from before" if self.kept else ""
        spent = counted(round(self.core_seconds), "core-second")
        share = (
            f" ({percent(self.pictures / self.core_seconds, 0)} to compare pictures)" if self.pictures >= 0.5 else ""
        )
        return (
            f"Features, folds and heads: {counted(self.computed, 'clip')} went through the network{kept}; {spent}{share}, "
            f"{lasting(self.seconds)} on the clock."
        )


@dataclass(frozen=True)
class FineTuning:
    """How fine-tuning of the whole network compared with the head on frozen features, on the same clips of one fold."""

    heads: float
    """Share of these clips that the head on frozen features answers rightly, 0 to 1."""
    tuned: float
    """The same of the fine-tuned network."""
    error: float | None
    """Standard error of their difference; None where the clips do not show it."""
    clips: int
    """Of the fold."""
    kept: bool
    """Whether the fine-tuned network is the run's; else the head is."""
    core_seconds: float
    folder: str = ""
    """The folder of this tuning, inside that of the run's tunings."""
    tries: int = 1
    """How many fine-tunings by different settings came to their end, this one among them."""

    @property
    def sentence(self) -> str:
        """The numbers, and which of the two was kept."""
        which = "the fine-tuned network" if self.kept else "the head"
        error = "unknown" if self.error is None else f"{100 * self.error:.1f} points"
        beside = (
            "the same clips" if self.error == 0 == self.difference else f"standard error of the difference: {error}"
        )
        return (
            f"Of {counted(self.clips, 'clip')} of one fold the head on frozen features answers {percent(self.heads)} "
            f"rightly, the fine-tuned network {percent(self.tuned)} ({beside}); {which} was kept. {self._tries_sentence}"
            f"{_OF_HEADS if self.kept else ''}Fine-tuning took {counted(round(self.core_seconds), 'core-second')}."
        )

    @property
    def difference(self) -> float:
        """Share of the fine-tuned network less that of the head, -1 to 1."""
        return self.tuned - self.heads

    @property
    def _tries_sentence(self) -> str:
        """What it means that several were tried; "" where this is the only one. Ends in a space."""
        if self.tries < 2:
            return ""
        tried = f"{self.tries:,} fine-tunings that were tried on this fold"
        if not self.kept:
            return f"None of the {tried} was kept; these numbers are those of {self.folder}. "
        return (
            f"It is the best that could be kept of {tried}: chosen by these clips, it looks better on them than it will on "
            "new ones. "
        )
