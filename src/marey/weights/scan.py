"""Copies of weights that a user has: which files of a folder belong to which recipes; their registration in the cache."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from marey.base.errors import WeightsError
from marey.base.files import cache_folder, link, sha256
from marey.base.reporter import Bar, progress
from marey.base.words import counted
from marey.recipe import Hash, NetworkConfig, Recipe, Source
from marey.recipes import RECIPES
from marey.weights.fetching.content import hash_name, no_checkpoint, other_hash
from marey.weights.fetching.store import admit, git_blob_header, place, read_record

Kind = Literal["published", "likely", "damaged", "misnamed", "ours", "similar", "unknown", "unreadable"]

MEANINGS: dict[Kind, str] = {
    "published": "its hash shows that it is the published file",
    "likely": "name, layout, network and classes fit; no hash is known that could show it",
    "damaged": "its name is that of a published file, its content is not",
    "misnamed": "its name is that of a published file, but it holds something else",
    "ours": "a checkpoint that Marey wrote",
    "similar": "weights of a network that recipes have; nothing shows whose",
    "unknown": "no weights that Marey reads",
    "unreadable": "the system does not let it be read",
}
"""What each kind of file is."""

_ENDINGS = frozenset({".pth", ".pt", ".pyth", ".pkl", ".safetensors", ".tar"})
_SHARD = re.compile(r"(.+)\.data-\d{5}-of-\d{5}")
"""The file with the values of a TensorFlow checkpoint; its index lies beside it."""
_DIGITS = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+(?:\.tar)?")
"""How torchvision and OpenMMLab end a file's name: the first digits of its SHA-256. Run numbers follow an underscore."""
_SIZES = ("network", "depth", "fast_depth", "width", "channels", "convolutions", "interaction", "num_classes")
"""What of a network the shapes of its tensors tell."""
_BLOCK = 1 << 22

Match = tuple[Recipe, Source]


@dataclass(frozen=True)
class Found:
    """A file of weights in the folder; several with the same content count as one."""

    path: Path
    kind: Kind
    why: str
    """By what it is known, or what is wrong with it."""
    size: int = 0
    sha256: str = ""
    matches: tuple[Match, ...] = ()
    """The recipes whose published file it is, shown or likely, or whose file it would be were it not damaged."""
    copies: tuple[Path, ...] = ()
    """Other files of the same content."""


@dataclass(frozen=True)
class Linked:
    """A file that works by its recipe's name now, unless it was refused."""

    recipe: Recipe
    found: Found
    place: Path
    """In the cache."""
    how: Literal["link", "copy", "registered before", "refused"]
    """A copy is made where the system makes no links (Windows, without the right to)."""
    why: str = ""
    """Why it was refused."""


@dataclass(frozen=True)
class _Content:
    """What the tensors of a file tell."""

    layouts: tuple[str, ...] = ()
    config: NetworkConfig | None = None
    """None: its shapes show no network that Marey has."""
    headless: bool = False
    """Whether there is no classifier in it, so that the number of classes means nothing."""
    problem: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True)
class _Hashed:
    """A file by its size and hashes."""

    path: Path
    size: int
    sha256: str
    git_blob: str

    def digits(self, known: Hash) -> str:
        """Its whole hash by the algorithm of `known`."""
        return self.sha256 if known.algorithm == "sha256" else self.git_blob

    def has(self, known: Hash) -> bool:
        return self.digits(known).startswith(known.digits)

    def found(self, kind: Kind, why: str, matches: tuple[Match, ...] = ()) -> Found:
        return Found(self.path, kind, why, self.size, self.sha256, matches)

    @property
    def promised(self) -> Hash | None:
        """The SHA-256 whose digits end its name; None: there are none."""
        digits = _DIGITS.search(self.path.name)
        return Hash(digits=digits[1], stated_by="its name") if digits else None

    @property
    def promises_another(self) -> bool:
        """Whether the digits in its name are those of another content."""
        return self.promised is not None and not self.has(self.promised)


def scan(folder: Path, recipes: Sequence[Recipe] = RECIPES) -> tuple[Found, ...]:
    """The files of weights in a folder and the folders below it, by path; what belongs to `recipes`, and what is damaged.

    A file is known by its hash, whatever its name; where no hash was published by its name, size, layout, network and
    number of classes. Reading runs nothing that a file holds.

    Raises:
        WeightsError: no such folder.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder}: no such folder: expected one with files of weights.")
    sources = tuple((recipe, source) for recipe in recipes for source in recipe.weights)
    names = {source.file for _, source in sources}
    paths, unreadable = _weights_below(folder, names)
    hashed, failed = _hashed(paths)
    same: dict[str, list[_Hashed]] = {}
    for file in hashed:
        same.setdefault(file.sha256, []).append(file)
    found = [*unreadable, *failed]
    with progress("Looking into files", total=len(same), unit="files") as bar:
        for files in same.values():
            # One that promises other digits is no copy of the others.
            alike = [file for file in files if not file.promises_another] or files
            found += _judged_together(alike, names, sources, recipes)
            found += [_by_name(file, sources, recipes) for file in files if file not in alike]
            bar.advance(1)
    return tuple(sorted(found, key=lambda one: one.path))


def _judged_together(
    alike: Sequence[_Hashed], names: set[str], sources: Sequence[Match], recipes: Sequence[Recipe]
) -> list[Found]:
    """Files of one content: each published name is judged, unless the content shows what it is; the others are copies of
    the best one.
    """
    by_name = {file.path.name: file for file in reversed(alike) if file.path.name in names} or {"": alike[0]}
    judged = [_judged(file, sources, recipes) for file in by_name.values()]
    best = min(judged, key=lambda one: list(MEANINGS).index(one.kind))
    judged = [best] if best.kind == "published" else judged
    shown = {one.path for one in judged}
    copies = tuple(file.path for file in alike if file.path not in shown)
    return [replace(one, copies=copies) if one is best else one for one in judged]


def link_found(found: Iterable[Found]) -> Iterator[Linked]:
    """Register the published and the likely files in the cache, so that their recipes find them: links, no copies."""
    for one in found:
        if one.kind in ("published", "likely"):
            for recipe, source in {recipe.name: (recipe, source) for recipe, source in reversed(one.matches)}.values():
                parts = [one.path.with_name(part.name) for part in source.parts]
                places = [place(source), *(place(source, part) for part in source.parts)]
                if one.path.absolute().is_relative_to(cache_folder().absolute()):
                    yield Linked(recipe, one, places[0], "refused", f"{one.path} lies in the cache itself")
                    continue
                try:
                    how = [_registered(path, at, source) for path, at in zip([one.path, *parts], places, strict=True)]
                except (OSError, WeightsError) as error:
                    yield Linked(recipe, one, places[0], "refused", str(error))
                else:
                    yield Linked(recipe, one, places[0], how[0])


def _registered(path: Path, at: Path, source: Source) -> Literal["link", "copy", "registered before"]:
    """A link to `path` in the cache, with its record.

    Raises:
        WeightsError: another content was recorded of the same file before.
        OSError: the cache cannot be written.
    """
    content, earlier = sha256(path), read_record(at)
    if earlier is not None and earlier.sha256 != content:
        raise WeightsError(
            f"{path}: its SHA-256 is {content}, that of {at.name} was {earlier.sha256} on {earlier.date}. To take this one, "
            f"first: marey weights remove {at.name} --forget."
        )
    there = at.is_file() and sha256(at) == content
    if not there:
        link(path, at)
    admit(at, address=str(path.absolute()), trust=source.trust)
    if there:
        return "registered before"
    return "link" if at.is_symlink() else "copy"


# Which files there are ---------------------------------------------------------------------------------------------------


def _weights_below(folder: Path, names: set[str]) -> tuple[list[Path], list[Found]]:
    """Files of a folder that may be weights, links followed but none twice; and folders that cannot be read."""
    unreadable: list[Found] = []

    def note(error: OSError) -> None:
        unreadable.append(Found(Path(error.filename or folder), "unreadable", error.strerror or str(error)))

    paths, visited = [], set()
    for where, below, files in os.walk(folder, onerror=note, followlinks=True):
        try:
            status = Path(where).stat()
        except OSError as error:
            note(error)
            continue
        if (status.st_dev, status.st_ino) in visited:
            below.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        below.sort()
        for path in (Path(where, name) for name in sorted(files)):
            shard = _SHARD.fullmatch(path.name)
            lone_index = path.suffix == ".index" and not any(
                _SHARD.fullmatch(name) and name.startswith(f"{path.stem}.data-") for name in files
            )
            if path.suffix.lower() in _ENDINGS or path.name in names or shard or lone_index:
                paths.append(path)
    return paths, unreadable


def _hashed(paths: Sequence[Path]) -> tuple[list[_Hashed], list[Found]]:
    """Each file with its hashes, and those that cannot be read. Devices and pipes are left out."""
    hashed, failed, sizes = [], [], dict[Path, int]()
    for path in paths:
        try:
            if path.is_file():
                sizes[path] = path.stat().st_size
            elif not path.exists():
                failed.append(Found(path, "unreadable", f"a link to {path.readlink()}, which is not there"))
        except OSError as error:
            failed.append(Found(path, "unreadable", error.strerror or str(error)))
    with progress("Hashing", total=round(sum(sizes.values()) / 1e6), unit="MB") as bar:
        for path, size in sizes.items():
            try:
                hashed.append(_Hashed(path, size, *_digests(path, size, bar)))
            except OSError as error:
                failed.append(Found(path, "unreadable", error.strerror or str(error), size))
    return hashed, failed


def _digests(path: Path, size: int, bar: Bar) -> tuple[str, str]:
    """The SHA-256 and the git blob's SHA-1 of a file, read once."""
    whole, blob = hashlib.sha256(), hashlib.sha1(git_blob_header(size), usedforsecurity=False)
    done = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            whole.update(block)
            blob.update(block)
            bar.advance(round((done + len(block)) / 1e6) - round(done / 1e6))
            done += len(block)
    return whole.hexdigest(), blob.hexdigest()


# What each of them is ----------------------------------------------------------------------------------------------------


def _judged(file: _Hashed, sources: Sequence[Match], recipes: Sequence[Recipe]) -> Found:
    """A file by its content; where no source has its hash, by what lies in it or by its name."""
    shown = tuple((recipe, source) for recipe, source in sources if source.hash is not None and file.has(source.hash))
    if shown:
        return _whole(file, shown)
    if file.path.suffix == ".safetensors" and no_checkpoint(file.path) is None and _is_own(file.path):
        return _of_ours(file)
    return _by_name(file, sources, recipes)


def _whole(file: _Hashed, shown: tuple[Match, ...]) -> Found:
    """A file whose content is the published one: whether what belongs beside it is there, too."""
    known = shown[0][1].hash
    assert known is not None
    why = f"{hash_name(known)} {known.digits}{'' if known.whole else '...'}, as stated by {known.stated_by}"
    for part in shown[0][1].parts:
        beside = file.path.with_name(part.name)
        if not beside.is_file():
            return file.found("damaged", f"{why}, but {part.name} is missing beside it", shown)
        problem = _reading_problem(beside) if beside.suffix == ".index" else ""
        if problem:
            return file.found("damaged", f"{why}, but {part.name} beside it does not belong to it: {problem}", shown)
    return file.found("published", why, shown)


def _by_name(file: _Hashed, sources: Sequence[Match], recipes: Sequence[Recipe]) -> Found:
    """A file whose hash no recipe states: by its name, its size and its tensors."""
    named, promised = tuple(match for match in sources if match[1].file == file.path.name), file.promised
    if other := no_checkpoint(file.path):
        return file.found("damaged" if named or promised else "unknown", other, named)
    hashed = tuple((recipe, source) for recipe, source in named if source.hash is not None)
    unhashed = tuple((recipe, source) for recipe, source in named if source.hash is None)
    content = None
    if hashed and promised is None:
        # Of a common name, such as model.ckpt, only a file for the same network can be a damaged one.
        content = _content(file.path)
        hashed = tuple(match for match in hashed if content.problem or not _contradiction(*match, content))
    if hashed and (known := hashed[0][1].hash) is not None:
        return file.found("damaged", other_hash(file.digits(known), known), hashed)
    if not named and promised is not None and not file.has(promised):
        return file.found("damaged", other_hash(file.digits(promised), promised))
    content = content or _content(file.path)
    if unhashed:
        return _without_hash(file, unhashed, content)
    if content.problem or content.config is None:
        layouts = f"a {content.layouts[0]} file of a network that Marey does not have" if content.layouts else ""
        return file.found("unknown", content.problem or layouts)
    return file.found("similar", _similar(content, content.config, recipes))


def _without_hash(file: _Hashed, named: tuple[Match, ...], content: _Content) -> Found:
    """A file that has the name of a published one of which no hash is known."""
    recipe, source = named[0]
    if source.size is not None and source.size != file.size:
        return file.found("damaged", f"{file.size:,} bytes, the published file has {source.size:,}", named)
    if content.problem:
        return file.found("damaged", content.problem, named)
    if contradiction := _contradiction(recipe, source, content):
        return file.found("misnamed", contradiction, named)
    holds = f": {_described(content.config)}" if content.config is not None else ""
    size = ", size" if source.size is not None else ""
    return file.found("likely", f"by name{size} and layout ({content.layouts[0]}){holds}", named)


def _similar(content: _Content, config: NetworkConfig, recipes: Sequence[Recipe]) -> str:
    """What a file holds and which recipes have such a network, those of the same layout first."""
    alike = [recipe for recipe in recipes if not _other_sizes(recipe.model, config)]
    alike.sort(key=lambda recipe: not any(source.layout in content.layouts for source in recipe.weights))
    first = ", ".join(recipe.name for recipe in alike[:3])
    more = f" and {len(alike) - 3} more" if len(alike) > 3 else ""
    rows = f"as of {first}{more}" if alike else "which no recipe has"
    if content.headless:
        rows = "it can only start a training (--init FILE)"
    return f"layout {content.layouts[0]}: {_described(config, headless=content.headless)}; {rows}"


def _contradiction(recipe: Recipe, source: Source, content: _Content) -> str:
    """Where the tensors of a file are not those of a recipe's published file; empty where they may be."""
    if source.layout is not None and source.layout not in content.layouts:
        return f"layout {content.layouts[0]}, expected {source.layout}"
    if content.config is not None and _other_sizes(recipe.model, content.config):
        return f"holds {_described(content.config)}; expected {_described(recipe.model)}"
    return ""


def _other_sizes(one: NetworkConfig, other: NetworkConfig) -> bool:
    """Whether two networks have other tensors, as far as shapes tell."""
    mine, theirs = dict(one), dict(other)
    return any(mine.get(size) != theirs.get(size) for size in _SIZES)


def _described(config: NetworkConfig, *, headless: bool = False) -> str:
    values = dict(config)
    depth = f" {values['depth']}" if "depth" in values else ""
    channels = "" if config.channels == 3 else f", {counted(config.channels, 'channel')}"
    classes = "no classifier" if headless else f"{counted(config.num_classes, 'class')}"
    return f"{config.network}{depth}{channels}, {classes}"


def _content(path: Path) -> _Content:
    """The tensors of a file of an older toolkit. This imports torch."""
    from marey.weights.foreign import layouts_of, read_contents, variant_of
    from marey.weights.wrapped import has_classifier

    shard = _SHARD.fullmatch(path.name)
    file = path.with_name(f"{shard[1]}.index") if shard else path
    try:
        tensors = read_contents(file).tensors
        layouts = layouts_of(tensors, file)
    except WeightsError as error:
        return _Content(problem=_shortened(error, file))
    except Exception as error:  # whatever is wrong with one file, the others are still to be seen
        return _Content(problem=f"cannot be read ({type(error).__name__}: {' '.join(str(error).split())[:100]})")
    try:
        variant, layout = variant_of(tensors, layouts, file)
    except WeightsError:
        return _Content(tuple(layout.NAME for layout in layouts))
    return _Content((layout.NAME,), variant.config, headless=not has_classifier(tensors, layout))


def _reading_problem(index: Path) -> str:
    """Why the index of a TensorFlow checkpoint does not fit the values beside it; empty where it does."""
    from marey.weights.foreign import read_contents

    try:
        return "; ".join(read_contents(index).notes)
    except WeightsError as error:
        return _shortened(error, index)


def _is_own(path: Path) -> bool:
    """Whether Marey wrote a .safetensors file, or it cannot be read. This imports torch."""
    from marey.weights.checkpoint import is_own

    return is_own(path)


def _of_ours(file: _Hashed) -> Found:
    from marey.weights.checkpoint import read_checkpoint

    try:
        recipe = read_checkpoint(file.path).recipe
    except WeightsError as error:
        return file.found("unknown", _shortened(error, file.path))
    return file.found("ours", f"trained by {recipe.name}: {_described(recipe.model)}")


def _shortened(error: WeightsError, path: Path) -> str:
    """A message without the path that it begins with, and without its full stop."""
    return " ".join(str(error).removeprefix(f"{path}: ").split()).rstrip(".")
