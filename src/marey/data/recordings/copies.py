"""Videos of the same content, equal files or encoded anew: within a class, with different classes, on several sides."""

from collections.abc import Sequence
from dataclasses import dataclass

from marey.base.words import counted, verb
from marey.data.lists.videos import first_of

_NAMED = 3
"""Sets that a sentence names."""


@dataclass(frozen=True)
class Copies:
    """Sets of videos of one content, by their rows, in order."""

    sets: tuple[tuple[int, ...], ...]
    certain: tuple[tuple[int, ...], ...]
    """Those of them, or parts of them, that are no takes of a scene in which nothing moves: such takes look like copies, and
    need not be."""
    labels: Sequence[str]
    """[N]: the class of each video in words, or its classes."""
    sides: Sequence[str]
    """[N]: the split of each video, "" where there is none."""

    @property
    def contradictions(self) -> tuple[tuple[int, ...], ...]:
        """The certain ones whose videos have different classes."""
        return tuple(rows for rows in self.certain if len({self.labels[row] for row in rows}) > 1)

    @property
    def across(self) -> tuple[tuple[int, ...], ...]:
        """The certain ones whose videos are on several sides."""
        return tuple(rows for rows in self.certain if self._on_several_sides(rows))

    def of_side(self, side: str) -> list[int]:
        """The rows of a side that are certain to have a copy on another one."""
        return sorted(row for rows in self.across for row in rows if self.sides[row] == side)

    def _on_several_sides(self, rows: Sequence[int]) -> bool:
        return len({self.sides[row] for row in rows}) > 1

    def once(self) -> list[int]:
        """The rows to leave out so that each content is certain to be there once for each class and side: all but the first
        such.
        """
        left_out = []
        for rows in self.certain:
            seen = set[tuple[str, str]]()
            for row in rows:
                key = (self.labels[row], self.sides[row])
                left_out += [row] if key in seen else []
                seen.add(key)
        return sorted(left_out)

    def lines(self, ids: Sequence[str]) -> list[str]:
        """What was found, a sentence for each kind; nothing without copies.

        Args:
            ids: [N]: the names of the videos.
        """
        found = []
        if self.certain:
            videos = counted(sum(map(len, self.certain)), "video")
            found.append(f"{videos} are copies of each other, encoded anew or not ({len(self.certain):,} different).")
        if torn := self.contradictions:
            named = first_of([self._named(rows, self.labels, ids) for rows in torn], _NAMED)
            are = verb(len(torn), "has copies", "have copies")
            found.append(f"{len(torn):,} of them {are} with different classes, of which at most one is right: {named}.")
        if across := self.across:
            named = first_of([self._named(rows, self.sides, ids) for rows in across], _NAMED)
            are = verb(len(across), "has copies", "have copies")
            found.append(f"{len(across):,} of them {are} in several splits: {named}.")
        return [*found, *self.takes_lines()]

    def takes_lines(self) -> list[str]:
        """How many videos look like copies and may be takes of one scene, as a sentence; nothing where none does."""
        in_sets, certain = ({row for rows in sets for row in rows} for sets in (self.sets, self.certain))
        if not (alike := len(in_sets - certain)):
            return []
        return [
            f"{counted(alike, 'video')} {verb(alike, 'looks', 'look')} like others in which nothing moves, as takes of one "
            "scene do: none is left out for that."
        ]

    @staticmethod
    def _named(rows: Sequence[int], words: Sequence[str], ids: Sequence[str]) -> str:
        """One video for each of their words: "a.mp4 (walk) = b.mp4 (run)"."""
        first = {words[row]: ids[row] for row in reversed(rows)}
        return " = ".join(f"{name} ({word})" for word, name in sorted(first.items()))
