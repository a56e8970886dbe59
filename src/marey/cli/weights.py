"""`marey weights ...`: what the cache of weights holds, what goes into it, and copies that lie elsewhere."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marey.base.errors import RecipeError, WeightsError
from marey.base.files import cache_folder
from marey.base.jsonable import Json
from marey.base.reporter import notice
from marey.base.shell import marey_line, next_steps
from marey.base.words import counted, verb
from marey.cli.command import (
    AsJson,
    OnlyAvailable,
    OnlyDataset,
    OnlyNetwork,
    TrustFirstUse,
    Words,
    command,
    json_document,
    trusted,
)
from marey.cli.interrupted import going_on, long_command

if TYPE_CHECKING:
    from marey.cli.listing import Row
    from marey.recipe import Source
    from marey.weights.fetching.obtain import Obtained
    from marey.weights.fetching.shelf import Item
    from marey.weights.scan import Found, Linked

weights = typer.Typer(
    name="weights", help="Fetch weights, look after their cache, find copies that you have.", no_args_is_help=True
)

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Recipes, rows of two streams, or files of the cache.")
]

_TRUST = {
    "verified": "its whole SHA-256 is the one that its publisher gave",
    "checked": "its whole SHA-256 or git blob is the one that others state",
    "prefix": "its SHA-256 begins with the digits that were published: damage would show, an attack might not",
    "none": "no hash was known: it was taken on your word; a later change is refused",
    "-": "nothing was recorded when it came (Marey 0.1.0); verify compares it with what was published",
}
"""The words for how far a file's content was known when it came."""


@command(weights, "fetch")
@long_command
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", help="Recipes, rows of two streams, resnet50_imagenet and alike, or addresses."
        ),
    ],
    trust_first_use: TrustFirstUse = False,
    as_json: AsJson = False,
) -> None:
    """Fetch weights, for a machine that goes offline; what is here already is left as it is."""
    wanted = _wanted(names)
    _announce(wanted)
    trust = trusted(names, trust_first_use)
    results: list[dict[str, Json]] = []
    begun = time.time()
    for name, sources in wanted.items():
        try:
            with going_on(partial(_kept, results, begun)):
                found = _obtained(name, sources, trust)
        except WeightsError as error:
            if len(wanted) == 1 and not as_json:
                raise
            results.append({"name": name, "error": str(error)})
            if not as_json:
                print(f"not fetched: {error}")
            continue
        path = found if isinstance(found, Path) else found.path
        result: dict[str, Json] = {"name": name, "path": str(path)}
        if not isinstance(found, Path):
            result |= {"address": found.record.address, "sha256": found.record.sha256}
            result |= {"size": found.record.size, "trust": found.record.trust}
        results.append(result)
        if not as_json:
            print(f"{name}: {path}", flush=True)
    failed = [str(result["name"]) for result in results if "error" in result]
    if as_json:
        print(json_document({"fetched": results}))
    else:
        print(f"Here now: {len(wanted) - len(failed)} of {len(wanted)}, in {cache_folder() / 'weights'}.")
    if failed:
        raise WeightsError(f"{len(failed)} of {len(wanted)} could not be fetched: {', '.join(failed)}.")
    next_steps(marey_line("predict", names[0], "VIDEO"))


def _kept(results: Sequence[Mapping[str, Json]], begun: float) -> str:
    """The files that this call, which began at `begun`, has fetched, and what has come of the one that is on its way."""
    count = sum("path" in result for result in results)
    done = f"{counted(count, 'file')} {verb(count, 'is', 'are')} here" if count else ""
    parts = (cache_folder() / "weights").rglob("*.part")
    part = next((path for path in parts if path.stat().st_mtime >= begun - 1), None)
    return "; ".join(filter(None, (done, "" if part is None else f"what has come is kept in {part}")))


@command(weights, "list")
def list_cache(
    words: Words = None,
    network: OnlyNetwork = None,
    dataset: OnlyDataset = None,
    available: OnlyAvailable = False,
    as_json: AsJson = False,
) -> None:
    """What the cache holds: whose weights, how large, how far they are known, since when and from where.

    The filters are those of `marey list`. --json adds what each of these rows has: state, size, licence, addresses, paths.
    """
    from marey.cli.listing import by_availability, recipes_of, rows_of
    from marey.weights.fetching.shelf import items

    rows, found = rows_of(words or (), network=network, dataset=dataset), items()
    if available:
        rows, _ = by_availability(rows)
    if words or network or dataset or available:
        names = recipes_of(rows)
        found = tuple(item for item in found if not names.isdisjoint(item.rows))
    if as_json:
        folder = str(cache_folder() / "weights")
        print(json_document({"folder": folder, "files": _as_json(found), "rows": _row_states(rows)}))
        return
    for item in found:
        _print_item(item)
    _print_total(found)


@command(weights, "path")
def path(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A recipe, a row of two streams, or a file.")],
) -> None:
    """Print where the weights of a row lie, and nothing else: one line for each stream."""
    from marey.weights.fetching.shelf import paths_of

    for found in paths_of(name):
        print(found)


@command(weights, "verify")
def verify(names: Names = None, as_json: AsJson = False) -> None:
    """Hash the files of the cache anew and compare them with their records. Exit code 1: one changed or is missing."""
    from marey.weights.fetching.shelf import items, named, verified

    checked = named(names) if names else items()
    results = []
    for item, verdict, why in verified(checked):
        results.append({"file": str(item.path), "recipes": item.rows, "verdict": verdict, "why": why})
        if not as_json:
            print(f"{verdict:11}  {item.title}\n    {item.path.name}: {why}", flush=True)
    verdicts = [result["verdict"] for result in results]
    if as_json:
        print(json_document({"files": results}))
    else:
        counts = ", ".join(f"{verdicts.count(one)} {one}" for one in dict.fromkeys(verdicts))
        print(f"{len(checked)} {_files(len(checked))} in {cache_folder() / 'weights'}{': ' if counts else '.'}{counts}")
    if "changed" in verdicts or "broken link" in verdicts:
        raise typer.Exit(1)


@command(weights, "remove")
def remove(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the cache holds.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="The record of its content, too: another content is then accepted.")
    ] = False,
) -> None:
    """Remove files from the cache; of a copy of yours that is registered there, the link alone."""
    from marey.weights.fetching.shelf import items, named
    from marey.weights.fetching.shelf import remove as remove_items
    from marey.weights.fetching.sizes import megabytes

    if bool(names) == everything:
        raise WeightsError("expected the names of what to remove, or --all, not both.")
    found = named(names) if names else items()
    found = found if forget else tuple(item for item in found if item.here or item.link or item.unfinished)
    if names and not found:
        raise WeightsError(f"{', '.join(names)}: removed before; its record is kept (--forget removes that, too).")
    freed = remove_items(found, forget=forget)
    for item in found:
        print(f"removed: {item.path}" + (f" (the link alone, which led to {item.link})" if item.link else ""))
    kept = "" if forget or not found else " Records of their content are kept (--forget removes them)."
    print(f"{len(found)} {_files(len(found))} removed, {megabytes(freed)} are free now.{kept}")


@command(weights, "scan")
def scan(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder with files of weights; those below it count.")
    ],
    register: Annotated[
        bool, typer.Option("--link", help="Register what belongs to recipes: a link in the cache, no copy.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find out which files of a folder belong to which recipes, by content and not by name, and what is damaged."""
    from marey.recipes import RECIPES
    from marey.weights.scan import link_found
    from marey.weights.scan import scan as scan_folder

    found = scan_folder(folder, RECIPES)
    linked = list(link_found(found)) if register else []
    refused = [one.recipe.name for one in linked if one.how == "refused"]
    if as_json:
        print(json_document(_scan_json(folder, found, linked)))
    else:
        _print_scan(folder, found)
        for one in linked:
            print(f"{one.recipe.name}: {one.how}: {one.why or one.place}")
    rows = {recipe.name for one in found if one.kind in ("published", "likely") for recipe, _ in one.matches}
    if register and not as_json:
        print(f"Rows that work by name now (marey predict NAME VIDEO): {len(rows) - len(refused)}.")
    elif rows and not as_json:
        print(
            f"So that {len(rows)} row{'s work' if len(rows) > 1 else ' works'} by name: marey weights scan {folder} --link"
        )
    if refused:
        raise WeightsError(
            f"{len(refused)} of {counted(len(linked), 'file')} {verb(len(refused), 'was', 'were')} not registered: "
            f"{', '.join(refused)}."
        )


# What is printed ---------------------------------------------------------------------------------------------------------


def _wanted(names: Sequence[str]) -> "dict[str, tuple[Source, ...]]":
    """The sources that these names mean, each once.

    Raises:
        RecipeError: a word that is none of the names.
    """
    from marey.recipes import get_recipe
    from marey.recipes.starts import STARTS
    from marey.weights.fetching.obtain import is_address, sources_of

    wanted: dict[str, tuple[Source, ...]] = {}
    for name in names:
        found = sources_of(name)
        if is_address(name):
            found = found or {name: ()}  # a whole model on the hub, of which nothing is declared
        elif not found:
            try:
                get_recipe(name)
            except RecipeError as error:
                raise RecipeError(f"{error} What training starts from: {', '.join(STARTS)}.") from None
        wanted |= found
    return wanted


def _obtained(name: str, sources: "Sequence[Source]", trust: bool) -> "Obtained | Path":
    from marey.recipes import RECIPES
    from marey.weights.fetching.obtain import is_address, obtain, obtain_from, obtain_named

    if is_address(name):
        return obtain_named(name, trust_first_use=trust)
    row = next((recipe for recipe in RECIPES if recipe.name == name), None)
    return obtain_from(sources, name, trust_first_use=trust) if row is None else obtain(row, trust_first_use=trust)


def _announce(wanted: "Mapping[str, tuple[Source, ...]]") -> None:
    """Say what will be fetched and how much that is."""
    from marey.weights.fetching.availability import availability_of
    from marey.weights.fetching.sizes import megabytes

    wide, total, exact = max(map(len, wanted)), 0, True
    for name, sources in wanted.items():
        found = availability_of(sources)
        size = "" if found.size is None else megabytes(found.size, exact=found.exact)
        notice(f"{name:{wide}}  {size:>9}  {found.word if sources else ''}".rstrip())
        if found.available and found.state != "here":
            total, exact = total + (found.size or 0), exact and found.exact
    if total:
        notice(f"{'to fetch':{wide}}  {megabytes(total, exact=exact):>9}")


def _print_item(item: "Item") -> None:
    from marey.weights.fetching.sizes import megabytes

    name = item.title
    try:
        record = item.record
    except WeightsError as error:
        print(f"{name}\n    {error}")
        return
    absent = "missing" if item.link else "unfinished" if item.unfinished else "removed"
    size = megabytes(item.size) if item.here else absent
    trust, date = ("-", "") if record is None else (record.trust, str(record.date))
    print(f"{name:50}  {size:>10}  {trust:8}  {date}".rstrip())
    if item.link is not None:
        gone = "" if item.here else ", which is not there any more"
        name = "" if item.link.name == item.path.name else f"{item.path.name}, "
        print(f"    {name}a link to {item.link}{gone}")
    else:
        unfinished = f", {megabytes(item.unfinished)} of it" if item.unfinished else ""
        print(f"    {item.path.name}{unfinished}" + (f", from {record.address}" if record is not None else ""))


def _print_total(found: "Sequence[Item]") -> None:
    from marey.weights.fetching.sizes import megabytes

    files = [item for item in found if item.here and item.link is None]
    links = sum(item.link is not None for item in found)
    also = f", {counted(links, 'link')} to copies of yours" if links else ""
    total = megabytes(sum(item.size for item in files) + sum(item.unfinished for item in found))
    print(f"{len(files)} {_files(len(files))}, {total}{also}, in {cache_folder() / 'weights'}.")
    trusts = set()
    for item in found:
        try:
            trusts.add("-" if item.record is None else item.record.trust)
        except WeightsError:
            continue  # printed with the item
    for word, meaning in _TRUST.items():
        if word in trusts:
            print(f"  {word:8}  {meaning}")


def _as_json(found: "Sequence[Item]") -> list[Json]:
    files: list[Json] = []
    for item in found:
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


def _row_states(rows: "Sequence[Row]") -> list[Json]:
    """What `marey list` shows of each row and its declaration does not hold."""
    from marey.weights.fetching.availability import availability

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


def _print_scan(folder: Path, found: "Sequence[Found]") -> None:
    """Two lines for each file, then how many there are of each kind."""
    from marey.weights.fetching.sizes import megabytes
    from marey.weights.scan import MEANINGS

    for one in found:
        inside = one.path.relative_to(folder) if one.path.is_relative_to(folder) else one.path
        print(f"{one.kind:10}  {inside}" + (f"  ({megabytes(one.size)})" if one.size else ""))
        rows = ", ".join(dict.fromkeys(recipe.name for recipe, _ in one.matches))
        print(f"    {rows}{': ' if rows else ''}{one.why}")
        for copy in one.copies:
            print(f"    the same content: {copy.relative_to(folder)}")
    kinds = [one.kind for one in found]
    print(f"{len(found)} {_files(len(found))} of weights in {folder}{':' if found else '.'}")
    for kind, meaning in MEANINGS.items():
        if kind in kinds:
            print(f"  {kinds.count(kind):4} {kind:10}  {meaning}")


def _scan_json(folder: Path, found: "Sequence[Found]", linked: "Sequence[Linked]") -> Json:
    files: list[Json] = [
        {
            "file": str(one.path),
            "kind": one.kind,
            "why": one.why,
            "size": one.size,
            "sha256": one.sha256 or None,
            "recipes": list(dict.fromkeys(recipe.name for recipe, _ in one.matches)),
            "copies": [str(copy) for copy in one.copies],
        }
        for one in found
    ]
    links: list[Json] = [
        {
            "recipe": one.recipe.name,
            "file": str(one.found.path),
            "place": str(one.place),
            "how": one.how,
            "why": one.why,
        }
        for one in linked
    ]
    return {"folder": str(folder), "files": files, "linked": links}


def _files(count: int) -> str:
    return "file" if count == 1 else "files"
