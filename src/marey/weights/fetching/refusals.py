"""The messages where weights cannot be fetched: why, which row comes nearest, what else works. Each is one line."""

from collections.abc import Sequence

from marey.base.files import cache_folder
from marey.base.network import offline
from marey.recipe import Recipe, Source, TwoStream
from marey.recipe.source import PUBLISHER, asked
from marey.weights.fetching.availability import broken_link
from marey.weights.fetching.mirrors import may_have, mirrors
from marey.weights.fetching.nearest import nearest_living, nearest_rows
from marey.weights.fetching.sizes import size_text

OWN_COPY = (
    "A copy of your own works as well: --weights FILE (--init FILE in training), `marey weights scan FOLDER --link`, or its "
    "folder or mirror in MAREY_MIRROR."
)
FETCH = "marey weights fetch"
_TRUST = "--trust-first-use"
_PREFIX = "they reveal a damaged file, but not one that an attacker made to fit"


def refusal(
    sources: Sequence[Source], name: str, recipe: Recipe | None, *, trust_first_use: bool, command: str = FETCH
) -> str | None:
    """Why nothing can be fetched of these sources, which are not here, and what to do; None where one can be asked.

    Args:
        name: What messages call it.
        recipe: The row that the sources belong to; None: none.
        trust_first_use: Whether the user's word is given for a file of which no hash is known.
        command: What goes before the name of a row that can be taken in the place of this one.
    """
    living = asked(sources)
    if not living:
        instead = "" if recipe is None else _instead(recipe, command)
        return " ".join(filter(None, [f"{name}{_why_not(sources, recipe)}.", _moved(sources), instead, OWN_COPY]))
    if offline():
        folder = next((mirror for mirror in mirrors() for source in living if may_have(mirror, source.address)), None)
        if folder is not None and unproven(living) and not trust_first_use:
            return f"{asks_first(living[0], name)} It would be taken from {folder.where}, a folder of MAREY_MIRROR."
        missing = f"{living[0].file} ({size_text(living[0])}) is not in the cache ({cache_folder() / 'weights'})"
        why = f"{name}: {missing}, and the network is not to be used (--offline, MAREY_OFFLINE)."
        return " ".join(filter(None, [why, _moved(sources), f"Where there is a network: {FETCH} {name}.", OWN_COPY]))
    if unproven(living) and not trust_first_use:
        return " ".join(filter(None, [asks_first(living[0], name), _moved(sources)]))
    return None


def unproven(living: Sequence[Source]) -> bool:
    """Whether of none of these sources a hash is known."""
    return all(source.trust == "none" for source in living)


def asks_first(source: Source, name: str) -> str:
    """That a file of which no hash is known is fetched on the user's word only."""
    whose = "" if name == source.file else f"{name}: "
    what = f"{source.address}, {size_text(source)}, licence {source.licence}"
    return (
        f"{whose}no hash of {_unhashed(source)} was published ({what}): it is fetched on your word only: {_TRUST} "
        "(trust_first_use=True). Its SHA-256 is recorded, and a later change is refused."
    )


def _unhashed(source: Source) -> str:
    """The first of a source's files of which no hash is known."""
    parts = (part.name for part in source.parts if part.hash is None)
    return source.file if source.hash is None else next(parts, source.file)


def trust_text(source: Source) -> str:
    """What is known of a file's content, and by whom, in a few words."""
    known = source.hash
    if known is None or source.trust == "none":
        return f"no hash of {_unhashed(source)} is known: it was taken on your word"
    if known.stated_by == PUBLISHER:
        if known.whole:
            return "as its publisher states it"
        return f"its first {len(known.digits)} digits are the published ones: {_PREFIX}"
    if not known.whole:
        return f"its first {len(known.digits)} digits are those of {known.stated_by}: {_PREFIX}"
    also = "; its publisher gave none" if source.kind == "publisher" else ""
    what = "git blob" if known.algorithm == "git_blob" else "SHA-256"
    return f"its {what} is known from: {known.stated_by}{also}"


def row_text(row: Recipe | TwoStream) -> str:
    """A row with its number, and what is to be known of its host and hash."""
    remarks = [f"top-1 {row.published.top1:g}" if row.published is not None else "no published number"]
    if isinstance(row, Recipe):
        best = asked(row.weights)[0]
        if best.state.reported == "lost and back":
            remarks.append(f"on {best.host}, which was lost for a time")
        if best.trust == "none":
            remarks.append("no hash published")
    return f"{row.name} ({', '.join(remarks)})"


def _why_not(sources: Sequence[Source], recipe: Recipe | None) -> str:
    """Why none of these sources is asked, to be said after the name of what they belong to."""
    if not sources:
        reason = f" ({recipe.notes.rstrip('.')})" if recipe is not None and recipe.published and recipe.notes else ""
        return f": no weights of it are known{reason}"
    source = sources[0]
    since = f"{source.state.date:%Y-%m}" if source.state.date else "an unknown date"
    if source.state.reported == "gone":
        return f": its file is gone from {source.host} since {since} ({source.state.evidence}); the host is not asked again"
    return (
        f": {source.address} was lost in {since} and is back ({source.state.evidence}), and no hash of the file was "
        f"published, so it is fetched only where you type its address (--weights, --init {source.address})"
    )


def _moved(sources: Sequence[Source]) -> str:
    """Which copies of the user were registered and are not there any more."""
    targets = filter(None, map(broken_link, sources))
    return " ".join(f"The copy that was registered, {target}, is not there any more." for target in targets)


def _instead(recipe: Recipe, command: str) -> str:
    """Which row can be taken in the place of one, with its number; what there is where none can."""
    rows = nearest_rows(recipe)
    if rows:
        first, *nearer = (f"{row_text(row)}: {command} {row.name}{_word_needed(row)}" for row in rows)
        if nearer:
            return f"The nearest row on a host without a reported loss is {first}. Nearer is {nearer[0]}."
        return f"The nearest row that one can get is {first}."
    if not recipe.weights and recipe.published is None:
        return f"It is for training: marey train {recipe.name} --data DATA."
    base = None if recipe.pretraining is None else base_row(recipe)
    if base is not None:
        return f"No row on {recipe.dataset} can be fetched; training can start from --init {base.name}."
    return f"No row of this network on {recipe.dataset} can be fetched."


def _word_needed(row: Recipe) -> str:
    """What a command needs beside the name of a row of whose files no hash is known."""
    return f" {_TRUST}" if unproven(asked(row.weights)) else ""


def base_row(recipe: Recipe) -> Recipe | None:
    """A row that one can get of the same network on the data set that a recipe's training starts from."""
    return nearest_living(recipe.model_copy(update={"dataset": recipe.pretraining, "name": ""}))
