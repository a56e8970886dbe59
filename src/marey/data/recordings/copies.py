"""Copies: videos of the same content, in equal or re-encoded files, and those with different labels or splits."""

from collections.abc import Sequence
from dataclasses import dataclass

from marey.base.words import counted, verb
from marey.data.lists.videos import first_of

_NAMED = 3
"""How many sets of copies a sentence names."""


@dataclass(frozen=True)
class Copies:
    """Sets of videos that have the same content, each set given by its rows, ascending."""

    sets: tuple[tuple[int, ...], ...]
    """All sets of videos that look like copies."""
    certain: tuple[tuple[int, ...], ...]
    """The sets, or parts of them, that are certainly copies. Different takes of a scene in which nothing moves look like
    copies without being any; they are in `sets` only."""
    labels: Sequence[str]
    """[N]: the class name of each video; several labels are joined."""
    splits: Sequence[str]
    """[N]: the split of each video; "" where it has none."""

    @property
    def contradictions(self) -> tuple[tuple[int, ...], ...]:
        """The certain sets whose videos have different labels."""
        return tuple(rows for rows in self.certain if len({self.labels[row] for row in rows}) > 1)

    @property
    def across(self) -> tuple[tuple[int, ...], ...]:
        """The certain sets whose videos are in several splits."""
        return tuple(rows for rows in self.certain if self._in_several_splits(rows))

    def rows_copied_elsewhere(self, split: str) -> list[int]:
        """The rows of a split that certainly have a copy in another split."""
        return sorted(row for rows in self.across for row in rows if self.splits[row] == split)

    def _in_several_splits(self, rows: Sequence[int]) -> bool:
        return len({self.splits[row] for row in rows}) > 1

    def once(self) -> list[int]:
        """The rows to leave out so that a certain set keeps one video, the first, for each pair of a label and a split."""
        left_out = []
        for rows in self.certain:
            seen = set[tuple[str, str]]()
            for row in rows:
                key = (self.labels[row], self.splits[row])
                left_out += [row] if key in seen else []
                seen.add(key)
        return sorted(left_out)

    def lines(self, ids: Sequence[str]) -> list[str]:
        """One sentence for each kind of copies that exists; empty without copies.

        Args:
            ids: [N]: the names of the videos.
        """
        lines = []
        if self.certain:
            videos = counted(sum(map(len, self.certain)), "video")
            lines.append(f"{videos} are copies of each other, re-encoded or not ({len(self.certain):,} different).")
        if contradictions := self.contradictions:
            named = first_of([self._named(rows, self.labels, ids) for rows in contradictions], _NAMED)
            have = verb(len(contradictions), "has copies", "have copies")
            lines.append(
                f"{len(contradictions):,} of them {have} with different classes, of which at most one is right: {named}."
            )
        if across := self.across:
            named = first_of([self._named(rows, self.splits, ids) for rows in across], _NAMED)
            have = verb(len(across), "has copies", "have copies")
            lines.append(f"{len(across):,} of them {have} in several splits: {named}.")
        return [*lines, *self.takes_lines()]

    def takes_lines(self) -> list[str]:
        """A sentence that counts the videos that look like copies and may be takes of one scene; empty without them."""
        in_sets, certain = ({row for rows in sets for row in rows} for sets in (self.sets, self.certain))
        if not (count := len(in_sets - certain)):
            return []
        return [
            f"{counted(count, 'video')} {verb(count, 'looks', 'look')} like copies of others in which nothing moves: they "
            "may be takes of one scene, and none is left out."
        ]

    @staticmethod
    def _named(rows: Sequence[int], words: Sequence[str], ids: Sequence[str]) -> str:
        """The first video with each label or split (`words` [N]): "a.mp4 (walk) = b.mp4 (run)"."""
        first = {words[row]: ids[row] for row in reversed(rows)}
        return " = ".join(f"{name} ({word})" for word, name in sorted(first.items()))
