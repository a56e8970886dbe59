"""Class names as folders and lists spell them."""

import re
from collections.abc import Sequence


class Spellings:
    """Tells classes whatever the case, blanks and signs: "Massaging_persons_head" is "massaging person's head"."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self._names = {_plain(name): name for name in class_names}
        self._folders: dict[str, str | None] = {}

    def __len__(self) -> int:
        return len(self._names)

    def find(self, text: str) -> str | None:
        """The class that is spelt so."""
        return self._names.get(_plain(text))

    def class_of(self, path: str) -> str | None:
        """The class whose folder a file lies in, the innermost where there are several; None where there is none."""
        folder = path.rpartition("/")[0]
        if folder not in self._folders:
            self._folders[folder] = next(filter(None, map(self.find, reversed(folder.split("/")))), None)
        return self._folders[folder]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
