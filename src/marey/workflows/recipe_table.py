"""The table that `marey list` prints: which rows words select, and a line for each of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from marey.base.errors import RecipeError
from marey.base.files import cache_folder
from marey.base.names import did_you_mean
from marey.base.words import counted
from marey.recipe import Recipe, TwoStream
from marey.recipes import RECIPES, TWO_STREAMS, get_recipe
from marey.weights.fetching.availability import STATE_MEANINGS, Availability, availability, megabytes

RecipeRow = Recipe | TwoStream
COLUMNS = ("recipe", "top-1", "size", "licence", "weights")
_ROWS: tuple[RecipeRow, ...] = (*RECIPES, *TWO_STREAMS)


def select_rows(
    words: Sequence[str], *, network: str | None = None, dataset: str | None = None
) -> tuple[RecipeRow, ...]:
    """The rows that match all words and both names; case does not matter.

    Args:
        words: Each is a part of the name, the title, or the name of the network, data set, toolkit, publisher or
            pretraining.
        network: The network's full name; None: any.
        dataset: The data set's full name, or its short form in the names of recipes (k400); None: any.

    Raises:
        RecipeError: a word or name matches no row, or no row matches all of them.
    """
    rows = _ROWS
    for word in words:
        if not any(word.lower() in _searched_text(row) for row in _ROWS):
            known = [(*row.name.split("_"), *_networks(row), row.dataset, row.name) for row in _ROWS]
            raise RecipeError(f"no recipe has the word {word!r}.{did_you_mean(word, sorted(set(chain(*known))))}")
        rows = tuple(row for row in rows if word.lower() in _searched_text(row))
    for option, wanted, names_of in (("--network", network, _networks), ("--dataset", dataset, _datasets)):
        if wanted is not None:
            names = sorted({name for row in _ROWS for name in names_of(row)})
            if wanted.lower() not in names:
                raise RecipeError(f"{option} {wanted}: no recipe has it.{did_you_mean(wanted, names)}")
            rows = tuple(row for row in rows if wanted.lower() in names_of(row))
    if not rows:
        given = ", ".join([*words, *(name for name in (network, dataset) if name is not None)])
        raise RecipeError(f"no recipe matches all of these: {given}. Leave one of them out.")
    return rows


def recipe_names(rows: Sequence[RecipeRow]) -> set[str]:
    """The names of the recipes of these rows; a row of two streams has two."""
    return {recipe.name for row in rows for recipe in _streams(row)}


def split_by_availability(rows: Sequence[RecipeRow]) -> tuple[tuple[RecipeRow, ...], tuple[RecipeRow, ...]]:
    """The rows whose weights are cached or can be downloaded, and the others."""
    available = [availability(row).available for row in rows]
    return (
        tuple(row for row, is_available in zip(rows, available, strict=True) if is_available),
        tuple(row for row, is_available in zip(rows, available, strict=True) if not is_available),
    )


def recipe_table(rows: Sequence[RecipeRow], left_out: Sequence[RecipeRow] = ()) -> str:
    """A line of at most 100 characters for each row, the meanings of the words in it, and why `left_out` are missing."""
    found = [availability(row) for row in rows]
    cells = [COLUMNS, *(_columns_of(row, available) for row, available in zip(rows, found, strict=True))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        f"{name:{widths[0]}}  {top1:>{widths[1]}}  {size:>{widths[2]}}  {licence:{widths[3]}}  {weights}"
        for name, top1, size, licence, weights in cells
    ]
    return "\n".join([*(line.rstrip() for line in lines), "", *_caption(found), *_reasons_left_out(left_out)])


def _columns_of(row: RecipeRow, found: Availability) -> tuple[str, ...]:
    top1 = None if row.published is None else row.published.top1
    return (
        row.name,
        "" if top1 is None else f"{top1:.1f}",
        "" if found.size is None else megabytes(found.size, exact=found.exact),
        found.licence,
        found.word,
    )


def _caption(found: Sequence[Availability]) -> Iterable[str]:
    """The number of rows, and the meanings of the words in the last column."""
    available = sum(one.available for one in found)
    yield f"{counted(len(found), 'row')}, {available} with weights one can get."
    states = {one.state for one in found}
    for state, meaning in STATE_MEANINGS.items():
        if state in states:
            yield f"  {state:13}  {meaning}"
    if "here" in states:
        yield f"The cache is {cache_folder() / 'weights'}."
    if not all(one.exact for one in found):
        yield "~: the file's size is not known; this is the size of its parameters, 4 bytes each."


def _reasons_left_out(left_out: Sequence[RecipeRow]) -> Iterable[str]:
    """The number of rows that were left out, by the state of their weights, from the best to the worst."""
    states = Counter(availability(row).state for row in left_out)
    if states:
        yield f"{counted(len(left_out), 'row')} left out, whose weights one cannot get:"
        yield from (
            f"  {states[state]:4}  {state}: {STATE_MEANINGS[state]}" for state in STATE_MEANINGS if state in states
        )


def _searched_text(row: RecipeRow) -> str:
    """The text in which words are searched, in lower case."""
    texts = [row.name, row.title, row.dataset, *_networks(row)]
    for stream in _streams(row):
        texts += [stream.modality, stream.pretraining or "scratch", *(source.by for source in stream.weights)]
    if isinstance(row, TwoStream):
        texts.append("two streams")
    return " ".join(texts).lower()


def _streams(row: RecipeRow) -> tuple[Recipe, ...]:
    return (row,) if isinstance(row, Recipe) else (get_recipe(row.rgb), get_recipe(row.flow))


def _networks(row: RecipeRow) -> set[str]:
    return {one.model.network for one in _streams(row)}


def _datasets(row: RecipeRow) -> set[str]:
    """The data set's name, and its short form if it has one."""
    short = {"kinetics400": "k400", "kinetics600": "k600", "kinetics700": "k700"}.get(row.dataset)
    return {row.dataset} | ({short} if short else set())
