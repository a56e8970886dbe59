"""`marey weights ...`: fetch weights, look after their cache, and register copies in other folders."""

import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from marey.base.errors import WeightsError
from marey.base.files import cache_folder
from marey.base.jsonable import Json
from marey.base.shell import marey_line, next_steps
from marey.base.words import counted, verb
from marey.cli.common.command import command, json_document
from marey.cli.common.interrupted import interruptible, long_command
from marey.cli.common.named_models import trust_without_hash
from marey.cli.common.options import AsJson, OnlyAvailable, OnlyDataset, OnlyNetwork, TrustFirstUse, WordsArgument

weights = typer.Typer(
    name="weights", help="Fetch weights, look after their cache, find copies that you have.", no_args_is_help=True
)

NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Recipes, rows of two streams, or files of the cache.")
]


@command(weights, "fetch")
@long_command
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="Recipes, rows of two streams, initial weights such as resnet50_imagenet, or addresses.",
        ),
    ],
    trust_first_use: TrustFirstUse = False,
    as_json: AsJson = False,
) -> None:
    """Fetch weights, for a machine that goes offline; cached ones are left as they are."""
    from marey.workflows import weights_cache

    wanted = weights_cache.sources_by_name(names)
    weights_cache.announce_downloads(wanted)
    trust = trust_without_hash(names, trust_first_use)
    fetched: list[dict[str, Json]] = []
    failed: list[str] = []
    begun = time.time()
    for name, sources in wanted.items():
        try:
            with interruptible(partial(_kept_downloads, len(fetched) - len(failed), begun)):
                found = weights_cache.fetch(name, sources, trust_first_use=trust)
        except WeightsError as error:
            if len(wanted) == 1 and not as_json:
                raise
            failed.append(name)
            fetched.append({"name": name, "error": str(error)})
            if not as_json:
                print(f"not fetched: {error}")
            continue
        fetched.append(weights_cache.fetched_json(name, found))
        if not as_json:
            print(f"{name}: {fetched[-1]['path']}", flush=True)
    if as_json:
        print(json_document({"fetched": fetched}))
    else:
        print(f"Here now: {len(wanted) - len(failed)} of {len(wanted)}, in {cache_folder() / 'weights'}.")
    if failed:
        raise WeightsError(f"{len(failed)} of {len(wanted)} could not be fetched: {', '.join(failed)}.")
    next_steps(marey_line("predict", names[0], "VIDEO"))


def _kept_downloads(count: int, begun: float) -> str:
    """How many files this call has fetched, and the file of the download that was interrupted.

    Args:
        begun: When the call began, by `time.time`: older unfinished downloads are not of this call.
    """
    done = f"{counted(count, 'file')} {verb(count, 'is', 'are')} here" if count else ""
    unfinished = (cache_folder() / "weights").rglob("*.part")
    own = next((path for path in unfinished if path.stat().st_mtime >= begun - 1), None)
    return "; ".join(filter(None, (done, "" if own is None else f"the unfinished download is kept in {own}")))


@command(weights, "list")
def list_cache(
    words: WordsArgument = None,
    network: OnlyNetwork = None,
    dataset: OnlyDataset = None,
    available: OnlyAvailable = False,
    as_json: AsJson = False,
) -> None:
    """List the cached weights: recipe, size, how the content was checked, date and address.

    The filters are those of `marey list`. --json adds the rows, each with state, size, licence, addresses, paths.
    """
    from marey.weights.fetching.inventory import cached_items
    from marey.workflows.recipe_table import recipe_names, select_rows, split_by_availability
    from marey.workflows.weights_cache import item_text, items_json, rows_json, total_text

    rows, cached = select_rows(words or (), network=network, dataset=dataset), cached_items()
    if available:
        rows, _ = split_by_availability(rows)
    if words or network or dataset or available:
        names = recipe_names(rows)
        cached = tuple(item for item in cached if not names.isdisjoint(item.rows))
    if as_json:
        folder = str(cache_folder() / "weights")
        print(json_document({"folder": folder, "files": items_json(cached), "rows": rows_json(rows)}))
    else:
        print("\n".join([*map(item_text, cached), total_text(cached)]))


@command(weights, "path")
def path(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A recipe, a row of two streams, or a file.")],
) -> None:
    """Print the path of the weights of a row, and nothing else: one line for each stream."""
    from marey.weights.fetching.inventory import weights_paths

    for found in weights_paths(name):
        print(found)


@command(weights, "verify")
def verify(names: NamesArgument = None, as_json: AsJson = False) -> None:
    """Hash the files of the cache again and compare them with their records. Exit code 1: one changed or is missing."""
    from marey.weights.fetching.inventory import cached_items, find_items, verify_items

    checked = find_items(names) if names else cached_items()
    results = []
    for item, verdict, why in verify_items(checked):
        results.append({"file": str(item.path), "recipes": item.rows, "verdict": verdict, "why": why})
        if not as_json:
            print(f"{verdict:11}  {item.title}\n    {item.path.name}: {why}", flush=True)
    verdicts = [result["verdict"] for result in results]
    if as_json:
        print(json_document({"files": results}))
    else:
        counts = ", ".join(f"{verdicts.count(one)} {one}" for one in dict.fromkeys(verdicts))
        print(f"{counted(len(checked), 'file')} in {cache_folder() / 'weights'}{': ' if counts else '.'}{counts}")
    if "changed" in verdicts or "broken link" in verdicts:
        raise typer.Exit(1)


@command(weights, "remove")
def remove(
    names: NamesArgument = None,
    everything: Annotated[bool, typer.Option("--all", help="All files of the cache.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="The record of its content, too: other content is then accepted.")
    ] = False,
) -> None:
    """Remove files from the cache; for a copy of yours that is registered there, only the link."""
    from marey.weights.fetching.availability import megabytes
    from marey.weights.fetching.inventory import cached_items, find_items, remove_items

    if bool(names) == everything:
        raise WeightsError("expected the names of what to remove, or --all, not both.")
    cached = find_items(names) if names else cached_items()
    cached = cached if forget else tuple(item for item in cached if item.here or item.link or item.unfinished)
    if names and not cached:
        raise WeightsError(f"{', '.join(names)}: removed before; its record is kept (--forget removes that, too).")
    freed = remove_items(cached, forget=forget)
    for item in cached:
        print(f"removed: {item.path}" + (f" (the link alone, which led to {item.link})" if item.link else ""))
    kept = "" if forget or not cached else " Records of their content are kept (--forget removes them)."
    print(f"{counted(len(cached), 'file')} removed, {megabytes(freed)} are free now.{kept}")


@command(weights, "scan")
def scan(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with files of weights, in subfolders too.")],
    register: Annotated[
        bool, typer.Option("--link", help="Register files that belong to recipes: a link in the cache, no copy.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Recognise which files of a folder belong to which recipes, by content and not by name, and which are damaged."""
    from marey.recipes import RECIPES
    from marey.weights.find_copies import find_copies, link_found
    from marey.workflows.weights_cache import scan_json, scan_text

    files = find_copies(folder, RECIPES)
    linked = list(link_found(files)) if register else []
    refused = [link.recipe.name for link in linked if link.how == "refused"]
    print(json_document(scan_json(folder, files, linked)) if as_json else scan_text(folder, files, linked))
    rows = {recipe.name for file in files if file.kind in ("published", "likely") for recipe, _ in file.matches}
    if register and not as_json:
        print(f"Rows that work by name now (marey predict NAME VIDEO): {len(rows) - len(refused)}.")
    elif rows and not as_json:
        work = "s work" if len(rows) > 1 else " work"
        print(f"To make {len(rows)} row{work} by name: marey weights scan {folder} --link")
    if refused:
        raise WeightsError(
            f"{len(refused)} of {counted(len(linked), 'file')} {verb(len(refused), 'was', 'were')} not registered: "
            f"{', '.join(refused)}."
        )
