"""Messages for weights that cannot be fetched: the reason, the nearest row, what else works. Each message is one line."""

from collections.abc import Sequence

from marey.base.address import offline
from marey.base.files import cache_folder
from marey.recipe import Recipe, Source, TwoStream
from marey.recipe.source import PUBLISHER, usable_sources
from marey.weights.fetching.availability import broken_link, size_text
from marey.weights.fetching.mirrors import may_have, mirrors
from marey.weights.fetching.similar_rows import nearest_row, nearest_rows

OWN_COPY = (
    "A copy of your own works as well: --weights FILE (--init FILE in training), `marey weights scan FOLDER --link`, or its "
    "folder or mirror in MAREY_MIRROR."
)
FETCH_COMMAND = "marey weights fetch"
_TRUST = "--trust-first-use"
_PREFIX = "they reveal a damaged file, but not one that an attacker made with the same digits"


def why_unavailable(
    sources: Sequence[Source], name: str, recipe: Recipe | None, *, trust_first_use: bool, command: str = FETCH_COMMAND
) -> str | None:
    """Why none of these sources, whose files are not here, can be fetched, and what to do; None if one can be fetched.

    Args:
        name: Name of the weights in messages.
        recipe: The row that the sources belong to; None: they belong to no row.
        trust_first_use: Whether a file without a known hash may be fetched.
        command: Start of the command by which the message suggests another row: marey weights fetch ROW.
    """
    usable = usable_sources(sources)
    if not usable:
        instead = "" if recipe is None else _instead(recipe, command)
        return " ".join(
            filter(None, [f"{name}{_why_not(sources, recipe)}.", _moved_copies(sources), instead, OWN_COPY])
        )
    if offline():
        folder = next((mirror for mirror in mirrors() for source in usable if may_have(mirror, source.address)), None)
        if folder is not None and none_has_hash(usable) and not trust_first_use:
            return f"{needs_trust(usable[0], name)} It would be used from {folder.location}, a folder of MAREY_MIRROR."
        missing = f"{usable[0].file} ({size_text(usable[0])}) is not in the cache ({cache_folder() / 'weights'})"
        why = f"{name}: {missing}, and the network is not to be used (--offline, MAREY_OFFLINE)."
        return " ".join(
            filter(None, [why, _moved_copies(sources), f"Where there is a network: {FETCH_COMMAND} {name}.", OWN_COPY])
        )
    if none_has_hash(usable) and not trust_first_use:
        return " ".join(filter(None, [needs_trust(usable[0], name), _moved_copies(sources)]))
    return None


def none_has_hash(sources: Sequence[Source]) -> bool:
    """Whether none of these sources has a known hash."""
    return all(source.trust == "none" for source in sources)


def needs_trust(source: Source, name: str) -> str:
    """The message that a file without a known hash is fetched only if the user allows it."""
    whose = "" if name == source.file else f"{name}: "
    what = f"{source.address}, {size_text(source)}, licence {source.licence}"
    return (
        f"{whose}no hash of {_unhashed(source)} was published ({what}): it is fetched only with {_TRUST} "
        "(trust_first_use=True). Its SHA-256 is recorded, and a later change is refused."
    )


def _unhashed(source: Source) -> str:
    """Name of the first file of a source without a known hash."""
    companions = (companion.name for companion in source.parts if companion.hash is None)
    return source.file if source.hash is None else next(companions, source.file)


def trust_text(source: Source) -> str:
    """How a file's content was checked, and who states its hash, in a few words."""
    known = source.hash
    if known is None or source.trust == "none":
        return f"no hash of {_unhashed(source)} is known: it was trusted on first use"
    if known.stated_by == PUBLISHER:
        if known.complete:
            return "as its publisher states it"
        return f"its first {len(known.digits)} digits are the published ones: {_PREFIX}"
    if not known.complete:
        return f"its first {len(known.digits)} digits are those of {known.stated_by}: {_PREFIX}"
    also = "; its publisher states none" if source.kind == "publisher" else ""
    what = "git blob" if known.algorithm == "git_blob" else "SHA-256"
    return f"its {what} is known from: {known.stated_by}{also}"


def row_text(row: Recipe | TwoStream) -> str:
    """A row's name with its published top-1, and remarks on its host and hash."""
    remarks = [f"top-1 {row.published.top1:g}" if row.published is not None else "no published result"]
    if isinstance(row, Recipe):
        best = usable_sources(row.weights)[0]
        if best.state.reported == "lost and back":
            remarks.append(f"on {best.host}, which was lost for a time")
        if best.trust == "none":
            remarks.append("no hash published")
    return f"{row.name} ({', '.join(remarks)})"


def _why_not(sources: Sequence[Source], recipe: Recipe | None) -> str:
    """Why none of these sources is contacted, to follow the name of the weights in a sentence."""
    if not sources:
        reason = f" ({recipe.notes.rstrip('.')})" if recipe is not None and recipe.published and recipe.notes else ""
        return f": no weights of it are known{reason}"
    source = sources[0]
    since = f"{source.state.date:%Y-%m}" if source.state.date else "an unknown date"
    if source.state.reported == "gone":
        evidence = source.state.evidence
        return f": its file has been gone from {source.host} since {since} ({evidence}); the host is not contacted"
    return (
        f": {source.address} was lost in {since} and is back ({source.state.evidence}), and no hash of the file was "
        f"published, so it is fetched only if you name its address (--weights, --init {source.address})"
    )


def _moved_copies(sources: Sequence[Source]) -> str:
    """Sentences that name registered copies of the user's that no longer exist."""
    targets = filter(None, map(broken_link, sources))
    return " ".join(f"The registered copy {target} is no longer there." for target in targets)


def _instead(recipe: Recipe, command: str) -> str:
    """The sentence that names the row to use in place of `recipe`, or what else can be done if there is none."""
    rows = nearest_rows(recipe)
    if rows:
        first, *nearer = (f"{row_text(row)}: {command} {row.name}{_trust_option(row)}" for row in rows)
        if nearer:
            return f"The nearest row on a host without a reported loss is {first}. Nearer is {nearer[0]}."
        return f"The nearest row that can be fetched is {first}."
    if not recipe.weights and recipe.published is None:
        return f"It is for training: marey train {recipe.name} --data DATA."
    base = None if recipe.pretraining is None else base_row(recipe)
    if base is not None:
        return f"No row on {recipe.dataset} can be fetched; training can start from --init {base.name}."
    return f"No row of this network on {recipe.dataset} can be fetched."


def _trust_option(row: Recipe) -> str:
    """The option that a command needs for a row whose files have no known hash; empty for other rows."""
    return f" {_TRUST}" if none_has_hash(usable_sources(row.weights)) else ""


def base_row(recipe: Recipe) -> Recipe | None:
    """The nearest row of the same network on the data set that a recipe's training starts from; None if there is none."""
    return nearest_row(recipe.model_copy(update={"dataset": recipe.pretraining, "name": ""}))
