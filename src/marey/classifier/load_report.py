"""What happened to each tensor of a weights file when it was loaded."""

from dataclasses import dataclass, replace

from marey.base.declaration import Declaration
from marey.base.jsonable import Json
from marey.base.words import counted
from marey.data.lists.videos import short_path
from marey.recipe.source import Trust


class Origin(Declaration):
    """A published file that weights were loaded from."""

    address: str
    """The address that the file was fetched from, or the path of the user's registered copy."""
    sha256: str
    """SHA-256 of the entire file, 64 hexadecimal digits."""
    trust: Trust
    """How its content was checked."""


@dataclass(frozen=True, repr=False)
class LoadReport:
    """What happened to each tensor of a file."""

    source: str
    """The path or address of the file, for messages."""
    layout: str
    """The layout by which the file names its tensors."""
    renamed: tuple[tuple[str, str], ...]
    """For each loaded tensor its name in the file and its name in Marey's network."""
    dropped: tuple[str, ...] = ()
    """Tensors of the file that were left out on purpose: the old head, the state of an optimiser, and tensors that the
    file's toolkit stores and never uses; () for none."""
    notes: tuple[str, ...] = ()
    """What was assumed because the file does not show it; () for nothing."""
    said: tuple[str, ...] = ()
    """The notes that have already been printed while loading; () for none."""
    new_head: bool = False
    """Whether the head is newly initialised, because the file has another number of classes or no head."""
    names_assumed: bool = False
    """Whether the file has no class names, and those of the recipe's data set were assumed, because the number of
    classes is the same."""
    origin: Origin | None = None
    """The published file, if the weights came from one in the cache; None for any other file."""

    def as_json(self) -> dict[str, Json]:
        """All facts, with the number of the loaded tensors instead of their names."""
        found: dict[str, Json] = {
            "source": self.source,
            "layout": self.layout,
            "loaded": len(self.renamed),
            "dropped": list(self.dropped),
            "notes": list(self.notes),
        }
        return found if self.origin is None else found | {"origin": self.origin.model_dump(mode="json")}

    def unsaid(self) -> "LoadReport":
        """The same report without the notes that have already been printed."""
        return replace(self, notes=tuple(note for note in self.notes if note not in self.said))

    def __repr__(self) -> str:
        facts = [f"{self.layout} layout", f"{counted(len(self.renamed), 'tensor')} loaded"]
        facts += [f"{len(self.dropped):,} left out"] if self.dropped else []
        facts += ["new head"] if self.new_head else []
        facts += [counted(len(self.notes), "note")] if self.notes else []
        return f"LoadReport({short_path(self.source)!r}: {', '.join(facts)})"

    def __str__(self) -> str:
        facts = [f"{self.source}: {self.layout} layout, {counted(len(self.renamed), 'tensor')} loaded"]
        if self.dropped:
            more = f" and {len(self.dropped) - 3} more" if len(self.dropped) > 3 else ""
            facts.append(f"left out {', '.join(self.dropped[:3])}{more}")
        return "; ".join([*facts, *self.notes])
