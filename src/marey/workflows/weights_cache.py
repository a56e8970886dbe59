"""What `marey weights` prints about cached files, and which files a word of its command line means."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from marey.base.errors import RecipeError, WeightsError
from marey.base.files import cache_folder
from marey.base.jsonable import Json
from marey.base.reporter import notice
from marey.base.words import counted
from marey.recipe import Source
from marey.recipes import RECIPES, get_recipe
from marey.recipes.starts import STARTS
from marey.weights.fetching.availability import availability, availability_of, megabytes
from marey.weights.fetching.inventory import CachedItem
from marey.weights.fetching.obtain import Obtained, looks_like_address, obtain, obtain_from, obtain_named, sources_of
from marey.weights.find_copies import KIND_MEANINGS, FoundFile, LinkedFile
from marey.workflows.recipe_table import RecipeRow

_TRUST = {
    "verified": "its entire SHA-256 is the one that its publisher gave",
    "checked": "its entire SHA-256 or git blob is the one that somebody other than its publisher gave",
    "prefix": "its SHA-256 begins with the digits that were published: damage would show, an attack might not",
    "none": "no hash was known: it was trusted without one; a later change is refused",
    "-": "nothing was recorded when it was downloaded (Marey 0.1.0); verify compares it with what was published",
}
"""The words for how a file's content was checked when it was downloaded, and their meanings."""


# -- fetch -------------------------------------------------------------------------------------------------------------


def sources_by_name(names: Sequence[str]) -> dict[str, tuple[Source, ...]]:
    """The sources of the weights that each name means, without duplicates: a recipe, a row of two streams (both recipes),
    initial weights, or an address.

    Raises:
        RecipeError: a name is none of these.
    """
    wanted: dict[str, tuple[Source, ...]] = {}
    for name in names:
        sources = sources_of(name)
        if looks_like_address(name):
            sources = sources or {name: ()}  # an entire model on the hub, for which no source is declared
        elif not sources:
            try:
                get_recipe(name)
            except RecipeError as error:
                raise RecipeError(f"{error} What training starts from: {', '.join(STARTS)}.") from None
        wanted |= sources
    return wanted


def announce_downloads(wanted: Mapping[str, tuple[Source, ...]]) -> None:
    """Print a notice for each name with the size and state of its weights, and the total size to download."""
    width, total, exact = max(map(len, wanted)), 0, True
    for name, sources in wanted.items():
        found = availability_of(sources)
        size = "" if found.size is None else megabytes(found.size, exact=found.exact)
        notice(f"{name:{width}}  {size:>9}  {found.word if sources else ''}".rstrip())
        if found.available and found.state != "here":
            total, exact = total + (found.size or 0), exact and found.exact
    if total:
        notice(f"{'to fetch':{width}}  {megabytes(total, exact=exact):>9}")


def fetch(name: str, sources: Sequence[Source], *, trust_first_use: bool) -> Obtained | Path:
    """Download the weights of a name that `sources_by_name` returned, unless they are cached.

    Raises:
        WeightsError: they cannot be downloaded, or are not what was published.
    """
    if looks_like_address(name):
        return obtain_named(name, trust_first_use=trust_first_use)
    recipe = next((recipe for recipe in RECIPES if recipe.name == name), None)
    if recipe is None:
        return obtain_from(sources, name, trust_first_use=trust_first_use)
    return obtain(recipe, trust_first_use=trust_first_use)


def fetched_json(name: str, found: Obtained | Path) -> dict[str, Json]:
    """The path of fetched weights, and what is recorded of them."""
    if isinstance(found, Path):
        return {"name": name, "path": str(found)}
    record = found.record
    return {
        "name": name,
        "path": str(found.path),
        "address": record.address,
        "sha256": record.sha256,
        "size": record.size,
        "trust": record.trust,
    }


# -- list --------------------------------------------------------------------------------------------------------------


def item_text(item: CachedItem) -> str:
    """Two lines for a cached file: title, size, trust and date; then the file and its address, or the link's target."""
    try:
        record = item.record
    except WeightsError as error:
        return f"{item.title}\n    {error}"
    absent = "missing" if item.link else "unfinished" if item.unfinished else "removed"
    size = megabytes(item.size) if item.here else absent
    trust, date = ("-", "") if record is None else (record.trust, str(record.date))
    first = f"{item.title:50}  {size:>10}  {trust:8}  {date}".rstrip()
    if item.link is not None:
        gone = "" if item.here else ", which is not there any more"
        name = "" if item.link.name == item.path.name else f"{item.path.name}, "
        return f"{first}\n    {name}a link to {item.link}{gone}"
    unfinished = f", {megabytes(item.unfinished)} of it" if item.unfinished else ""
    address = f", from {record.address}" if record is not None else ""
    return f"{first}\n    {item.path.name}{unfinished}{address}"


def total_text(items: Sequence[CachedItem]) -> str:
    """How many files and links there are, their size, the cache's folder, and the meanings of the words for trust."""
    files = [item for item in items if item.here and item.link is None]
    links = sum(item.link is not None for item in items)
    also = f", {counted(links, 'link')} to copies of yours" if links else ""
    total = megabytes(sum(item.size for item in files) + sum(item.unfinished for item in items))
    trusts = set()
    for item in items:
        try:
            trusts.add("-" if item.record is None else item.record.trust)
        except WeightsError:
            continue  # `item_text` shows the error
    meanings = [f"  {word:8}  {meaning}" for word, meaning in _TRUST.items() if word in trusts]
    return "\n".join([f"{counted(len(files), 'file')}, {total}{also}, in {cache_folder() / 'weights'}.", *meanings])


def items_json(items: Sequence[CachedItem]) -> list[Json]:
    """Each cached file with its recipes, size, link and record."""
    files: list[Json] = []
    for item in items:
        try:
            record, problem = item.record, None
        except WeightsError as error:
            record, problem = None, str(error)
        described: dict[str, Json] = {
            "file": str(item.path),
            "recipes": item.rows,
            "here": item.here,
            "size": item.size,
            "link": None if item.link is None else str(item.link),
            "unfinished": item.unfinished,
            "record": None if record is None else record.model_dump(mode="json"),
            "problem": problem,
        }
        files.append(described)
    return files


def rows_json(rows: Sequence[RecipeRow]) -> list[Json]:
    """The availability of each row's weights: state, licence, size, addresses and paths."""
    found = {row.name: availability(row) for row in rows}
    return [
        {
            "recipe": name,
            "state": row.word,
            "available": row.available,
            "licence": row.licence,
            "size": row.size,
            "size_is_exact": row.exact,
            "addresses": [source.address for source in row.sources],
            "paths": [str(path) for path in row.paths],
        }
        for name, row in found.items()
    ]


# -- scan --------------------------------------------------------------------------------------------------------------


def scan_text(folder: Path, files: Sequence[FoundFile], linked: Sequence[LinkedFile]) -> str:
    """Two lines for each file of a scanned folder, the number of each kind, and the links that were made."""
    lines = []
    for file in files:
        inside = file.path.relative_to(folder) if file.path.is_relative_to(folder) else file.path
        lines.append(f"{file.kind:10}  {inside}" + (f"  ({megabytes(file.size)})" if file.size else ""))
        rows = ", ".join(dict.fromkeys(recipe.name for recipe, _ in file.matches))
        lines.append(f"    {rows}{': ' if rows else ''}{file.why}")
        lines += [f"    the same content: {copy.relative_to(folder)}" for copy in file.copies]
    kinds = [file.kind for file in files]
    lines.append(f"{counted(len(files), 'file')} of weights in {folder}{':' if files else '.'}")
    lines += [
        f"  {kinds.count(kind):4} {kind:10}  {meaning}" for kind, meaning in KIND_MEANINGS.items() if kind in kinds
    ]
    lines += [f"{link.recipe.name}: {link.how}: {link.why or link.cached_path}" for link in linked]
    return "\n".join(lines)


def scan_json(folder: Path, files: Sequence[FoundFile], linked: Sequence[LinkedFile]) -> Json:
    """Each file of a scanned folder with the recipes that it belongs to, and the links that were made."""
    found: list[Json] = [
        {
            "file": str(file.path),
            "kind": file.kind,
            "why": file.why,
            "size": file.size,
            "sha256": file.sha256 or None,
            "recipes": list(dict.fromkeys(recipe.name for recipe, _ in file.matches)),
            "copies": [str(copy) for copy in file.copies],
        }
        for file in files
    ]
    links: list[Json] = [
        {
            "recipe": link.recipe.name,
            "file": str(link.found.path),
            "place": str(link.cached_path),
            "how": link.how,
            "why": link.why,
        }
        for link in linked
    ]
    return {"folder": str(folder), "files": found, "linked": links}
