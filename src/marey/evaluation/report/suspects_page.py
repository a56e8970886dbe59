"""The section of the report on videos that are probably mislabelled or unusual, and on classes that are not
distinguished.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from marey.base.errors import DataError
from marey.base.reporter import warning
from marey.base.words import counted, percent
from marey.data.splits.corrected_data import LABELS
from marey.evaluation.out_of_fold.confusable_classes import find_confusable_classes
from marey.evaluation.out_of_fold.suspects import SHOWN, SUSPECTS, SuspectList, SuspectVideo
from marey.evaluation.scores import Scores

_OPEN = 10
"""Number of suspects that are not folded."""
_ALIKE = 10
"""The page names at most this many sets of classes that are not distinguished."""


@dataclass(frozen=True)
class SuspectCard:
    """One video on the page."""

    video: SuspectVideo
    """The suspect that the card shows."""
    label_share: str
    """The out-of-fold probability of its label, in percent; "" for several labels, or if it is only unusual."""
    may_be_share: str
    """The out-of-fold probability of the class that it may have instead, in percent; "" where `label_share` is ""
    too."""
    why: str
    """The reasons to check it that the probabilities do not show."""

    @classmethod
    def of(cls, video: SuspectVideo) -> "SuspectCard":
        if video.one_label:
            return cls(video, percent(video.shares[0]), percent(video.shares[1]), video.odd)
        return cls(video, "", "", video.why)


@dataclass(frozen=True)
class SuspectsPage:
    """What the section on suspects shows."""

    lead: str
    """How many suspects there are, as a sentence."""
    how: str
    """How they were found, and what to do about them."""
    first: Sequence[SuspectCard]
    """The first ten suspects, which are not folded."""
    folded: Sequence[SuspectCard]
    """The next suspects, which the page shows on request."""
    more: int
    """How many videos of suspects.csv are not on the page."""
    alike: Sequence[str]
    """Sentences on classes that are not distinguished."""
    alike_more: int
    """How many further sentences are not on the page."""

    @classmethod
    def of(cls, folder: Path, scores: Scores) -> "SuspectsPage | None":
        """The section for the run in a folder with its out-of-fold scores; None if the run did not look for suspects."""
        try:
            found = SuspectList.load(folder)
        except DataError as error:
            warning(f"the report has no suspects: {error}")
            return None
        if found is None:
            return None
        cards = [SuspectCard.of(video) for video in found.videos[:SHOWN]]
        alike = [one.sentence for one in find_confusable_classes(scores)]
        return cls(
            lead=f"{found.counts}." if found.videos else f"None of {counted(found.total, 'video')} stands out.",
            how=_how(found, corrected=(folder / LABELS).exists()),
            first=cards[:_OPEN],
            folded=cards[_OPEN:],
            more=len(found.videos) - len(cards),
            alike=alike[:_ALIKE],
            alike_more=max(0, len(alike) - _ALIKE),
        )


def _how(found: SuspectList, *, corrected: bool) -> str:
    """How the suspects were found, and what to do about them.

    Args:
        found: The suspects.
        corrected: Whether the run already has a table of corrections, into which rows are to be copied.
    """
    sentences = []
    if found.by:
        rest = (
            "" if found.disagreeing <= found.wrong else f" ({found.disagreeing:,} in all, of which these are the first)"
        )
        sentences.append(
            "For these videos another label is more probable than their own, measured by what is usual for videos of each "
            "of the two classes. The predictions are of heads fitted without the video: "
            f"{'; '.join(found.by)}{rest}. The label may be wrong, or the video is hard."
        )
    if found.videos:
        again = "copy these rows into your table of corrections, and train again with it"
        if not corrected:
            again = f"train again with --labels {SUSPECTS}"
        sentences.append(
            f"Look at each: to change a label, edit the column label of {SUSPECTS}; to leave a video out, put x into "
            f"leave_out; then {again}. What is not edited stays as it is."
        )
    return " ".join(sentences)
