"""What the report's page shows of clips whose labels are likely wrong, of odd ones, and of classes not told apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from marey.base.errors import DataError
from marey.base.reporter import warning
from marey.base.words import counted, percent
from marey.data.splits.corrected import LABELS
from marey.evaluation.out_of_fold.suspects import SHOWN, SUSPECTS, SuspectClip, SuspectList
from marey.evaluation.out_of_fold.told_apart import not_told_apart
from marey.evaluation.scores import Scores

_OPEN = 10
"""Clips that are not folded."""
_ALIKE = 10
"""Groups of classes not told apart that the page names."""


@dataclass(frozen=True)
class SuspectCard:
    """One clip on the page."""

    clip: SuspectClip
    label_share: str
    """The probability of its label, and that of what it may be; "" where not both are known."""
    may_be_share: str
    why: str
    """What these do not say yet."""

    @classmethod
    def of(cls, clip: SuspectClip) -> "SuspectCard":
        if clip.one_label:
            return cls(clip, percent(clip.shares[0]), percent(clip.shares[1]), clip.odd)
        return cls(clip, "", "", clip.why)


@dataclass(frozen=True)
class SuspectsPage:
    """The parts of the section."""

    lead: str
    """How many clips there are, as a sentence."""
    how: str
    """How they were found, and what to do."""
    first: Sequence[SuspectCard]
    folded: Sequence[SuspectCard]
    more: int
    """Clips of suspects.csv that are not on the page."""
    alike: Sequence[str]
    """Classes that are not told apart, as sentences."""
    alike_more: int

    @classmethod
    def of(cls, folder: Path, scores: Scores) -> "SuspectsPage | None":
        """Of the run in a folder, with its answers out of fold; None where it looked for no suspects."""
        try:
            found = SuspectList.load(folder)
        except DataError as error:
            warning(f"the report has no suspects: {error}")
            return None
        if found is None:
            return None
        cards = [SuspectCard.of(clip) for clip in found.clips[:SHOWN]]
        alike = [one.sentence for one in not_told_apart(scores)]
        return cls(
            lead=f"{found.counts}." if found.clips else f"None of {counted(found.total, 'clip')} stands out.",
            how=_how(found, corrected=(folder / LABELS).exists()),
            first=cards[:_OPEN],
            folded=cards[_OPEN:],
            more=len(found.clips) - len(cards),
            alike=alike[:_ALIKE],
            alike_more=max(0, len(alike) - _ALIKE),
        )


def _how(found: SuspectList, *, corrected: bool) -> str:
    """The rule, in two sentences, and the way on; `corrected`: the run was given a table of corrections already."""
    parts = []
    if found.by:
        rest = (
            "" if found.disagreeing <= found.wrong else f" ({found.disagreeing:,} in all, of which these are the first)"
        )
        parts.append(
            "For these labels another one is likelier, measured by what is usual for clips of either class, in answers of "
            f"heads that had not seen the clip: {'; '.join(found.by)}{rest}. The label may be wrong, or the clip hard."
        )
    if found.clips:
        again = "copy these rows into your table of corrections, and train again with it"
        if not corrected:
            again = f"train again with --labels {SUSPECTS}"
        parts.append(
            f"Look at each: to change a label, edit the column label of {SUSPECTS}; to leave a clip out, put x into "
            f"leave_out; then {again}. What is not edited stays as it is."
        )
    return " ".join(parts)
