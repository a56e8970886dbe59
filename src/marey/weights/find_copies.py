"""Find copies of published weights in a user's folder, by hash or by name and content, and register them in the cache."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from marey.base.bars import Bar
from marey.base.errors import WeightsError
from marey.base.files import cache_folder, link, sha256
from marey.base.reporter import progress
from marey.base.words import counted
from marey.recipe import Hash, NetworkConfig, Recipe, Source
from marey.recipes import RECIPES
from marey.weights.fetching.cached_files import admit, cached_paths, git_blob_header, other_hash, read_record
from marey.weights.files.other_formats import no_checkpoint

FileKind = Literal["published", "likely", "damaged", "misnamed", "ours", "similar", "unknown", "unreadable"]

KIND_MEANINGS: dict[FileKind, str] = {
    "published": "by its hash it is the published file",
    "likely": "name, layout, network and classes fit; no hash is known that could prove it",
    "damaged": "it has the name of a published file, but other bytes, or a companion file is missing or does not fit",
    "misnamed": "it has the name of a published file, but holds another network",
    "ours": "a checkpoint that Marey wrote",
    "similar": "weights of a network that recipes have, of unknown origin",
    "unknown": "no weights that Marey reads",
    "unreadable": "the system does not allow reading it",
}
"""What each kind of file is, from the best to the worst."""

_ENDINGS = frozenset({".pth", ".pt", ".pyth", ".pkl", ".safetensors", ".tar"})
_SHARD = re.compile(r"(.+)\.data-\d{5}-of-\d{5}")
"""Name of a data file of a TensorFlow checkpoint; the index of the checkpoint is in the same folder."""
_DIGITS = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+(?:\.tar)?")
"""End of a file's name at torchvision and OpenMMLab: a hyphen and the first digits of its SHA-256. Run numbers
do not match, because they follow an underscore."""
_SIZES = ("network", "depth", "fast_depth", "width", "channels", "convolutions", "interaction", "num_classes")
"""Fields of a network's config that are inferred from tensor shapes."""
_BLOCK = 1 << 22

RecipeSource = tuple[Recipe, Source]


@dataclass(frozen=True)
class FoundFile:
    """A file of weights in the folder; files with the same content count as one."""

    path: Path
    """Path of the file; of several equal files, the first."""
    kind: FileKind
    """What the file is; `KIND_MEANINGS` says what each kind means."""
    why: str
    """Why it is of this kind: what identifies it, or what is wrong with it."""
    size: int = 0
    """Size in bytes."""
    sha256: str = ""
    """SHA-256 of the content; empty if it cannot be read."""
    matches: tuple[RecipeSource, ...] = ()
    """The recipes whose published file it is, certainly or likely, or whose damaged file it is; () for none."""
    copies: tuple[Path, ...] = ()
    """Other files with the same content; () for none."""


@dataclass(frozen=True)
class LinkedFile:
    """A file that was registered in the cache for its recipe, or refused."""

    recipe: Recipe
    """The recipe whose published file it is."""
    found: FoundFile
    """The file in the user's folder."""
    cached_path: Path
    """Path of the file in the cache."""
    how: Literal["link", "copy", "registered before", "refused"]
    """How it was registered. "link": as a link. "copy": as a copy, if the system allows no links (Windows, without the
    right). "registered before": it was there already. "refused": it was not registered."""
    why: str = ""
    """Why it was refused; empty if it was not."""


@dataclass(frozen=True)
class _InferredContent:
    """What is inferred from the tensors of a file."""

    layouts: tuple[str, ...] = ()
    """Names of the layouts that recognise it; () for none."""
    config: NetworkConfig | None = None
    """Config of the network; None: its shapes fit no network of Marey."""
    headless: bool = False
    """Whether it has no classifier, so that the number of classes is meaningless."""
    problem: str = ""
    """Why it cannot be read; empty if it can."""


@dataclass(frozen=True)
class _HashedFile:
    """A file with its size and hashes."""

    path: Path
    """Path of the file."""
    size: int
    """Size in bytes."""
    sha256: str
    """SHA-256 of the content, 64 hexadecimal digits."""
    git_blob: str
    """The id by which git's trees name the content, 40 hexadecimal digits."""

    def digits(self, known: Hash) -> str:
        """The complete hash of the file, by the algorithm of `known`."""
        return self.sha256 if known.algorithm == "sha256" else self.git_blob

    def has(self, known: Hash) -> bool:
        return self.digits(known).startswith(known.digits)

    def found(self, kind: FileKind, why: str, matches: tuple[RecipeSource, ...] = ()) -> FoundFile:
        return FoundFile(self.path, kind, why, self.size, self.sha256, matches)

    @property
    def hash_in_name(self) -> Hash | None:
        """The first digits of a SHA-256 at the end of its name; None if there are none."""
        digits = _DIGITS.search(self.path.name)
        return Hash(digits=digits[1], stated_by="its name") if digits else None

    @property
    def contradicts_name(self) -> bool:
        """Whether its hash is not the one in its name."""
        return self.hash_in_name is not None and not self.has(self.hash_in_name)


def find_copies(folder: Path, recipes: Sequence[Recipe] = RECIPES) -> tuple[FoundFile, ...]:
    """All files of weights in a folder and its subfolders, sorted by path, with the recipes that they belong to.

    A file is identified by its hash, whatever its name. If no hash was published, it is identified by name, size, layout,
    network and number of classes. No code in a file is run.

    Raises:
        WeightsError: no such folder.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder}: no such folder: expected one with files of weights.")
    sources = tuple((recipe, source) for recipe in recipes for source in recipe.weights)
    names = {source.file for _, source in sources}
    paths, unreadable = _weights_below(folder, names)
    hashed, failed = _hash_files(paths)
    same: dict[str, list[_HashedFile]] = {}
    for file in hashed:
        same.setdefault(file.sha256, []).append(file)
    found = [*unreadable, *failed]
    with progress("Reading files", total=len(same), unit="files") as bar:
        for files in same.values():
            # A file whose name states another hash is not a copy of the others.
            alike = [file for file in files if not file.contradicts_name] or files
            found += _classify_copies(alike, names, sources, recipes)
            found += [_by_name(file, sources, recipes) for file in files if file not in alike]
            bar.advance(1)
    return tuple(sorted(found, key=lambda one: one.path))


def _classify_copies(
    alike: Sequence[_HashedFile], names: set[str], sources: Sequence[RecipeSource], recipes: Sequence[Recipe]
) -> list[FoundFile]:
    """Classify files with the same content: one of them if its hash is published, else one for each published file name. All
    others are listed as copies of the best one.
    """
    by_name = {file.path.name: file for file in reversed(alike) if file.path.name in names} or {"": alike[0]}
    classified = [_classify(file, sources, recipes) for file in by_name.values()]
    best = min(classified, key=lambda one: list(KIND_MEANINGS).index(one.kind))
    classified = [best] if best.kind == "published" else classified
    listed = {one.path for one in classified}
    copies = tuple(file.path for file in alike if file.path not in listed)
    return [replace(one, copies=copies) if one is best else one for one in classified]


def link_found(found: Iterable[FoundFile]) -> Iterator[LinkedFile]:
    """Register published and likely files in the cache by links, so that their recipes find them."""
    for one in found:
        if one.kind in ("published", "likely"):
            for recipe, source in {recipe.name: (recipe, source) for recipe, source in reversed(one.matches)}.values():
                paths = [one.path, *(one.path.with_name(companion.name) for companion in source.parts)]
                targets = cached_paths(source)
                if one.path.absolute().is_relative_to(cache_folder().absolute()):
                    yield LinkedFile(recipe, one, targets[0], "refused", f"{one.path} is in the cache itself")
                    continue
                try:
                    how = [_register(path, target, source) for path, target in zip(paths, targets, strict=True)]
                except (OSError, WeightsError) as error:
                    yield LinkedFile(recipe, one, targets[0], "refused", str(error))
                else:
                    yield LinkedFile(recipe, one, targets[0], how[0])


def _register(path: Path, target: Path, source: Source) -> Literal["link", "copy", "registered before"]:
    """Make the link `target` in the cache to `path`, and record the content.

    Raises:
        WeightsError: an earlier record of the same file states another content.
        OSError: the cache cannot be written.
    """
    content, earlier = sha256(path), read_record(target)
    if earlier is not None and earlier.sha256 != content:
        raise WeightsError(
            f"{path}: its SHA-256 is {content}, that of {target.name} was {earlier.sha256} on {earlier.date}. To accept it, "
            f"first: marey weights remove {target.name} --forget."
        )
    registered = target.is_file() and sha256(target) == content
    if not registered:
        link(path, target)
    admit(target, address=str(path.absolute()), trust=source.trust)
    if registered:
        return "registered before"
    return "link" if target.is_symlink() else "copy"


# Files to look at --------------------------------------------------------------------------------------------------------


def _weights_below(folder: Path, names: set[str]) -> tuple[list[Path], list[FoundFile]]:
    """Files in a folder and its subfolders that may be weights, and folders that cannot be read.

    Each folder is visited once, even if several links lead to it.
    """
    unreadable: list[FoundFile] = []

    def note(error: OSError) -> None:
        unreadable.append(FoundFile(Path(error.filename or folder), "unreadable", error.strerror or str(error)))

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


def _hash_files(paths: Sequence[Path]) -> tuple[list[_HashedFile], list[FoundFile]]:
    """The files with their hashes, and those that cannot be read. Devices and pipes are left out."""
    hashed, failed, sizes = [], [], dict[Path, int]()
    for path in paths:
        try:
            if path.is_file():
                sizes[path] = path.stat().st_size
            elif not path.exists():
                failed.append(FoundFile(path, "unreadable", f"a link to {path.readlink()}, which does not exist"))
        except OSError as error:
            failed.append(FoundFile(path, "unreadable", error.strerror or str(error)))
    with progress("Hashing", total=round(sum(sizes.values()) / 1e6), unit="MB") as bar:
        for path, size in sizes.items():
            try:
                hashed.append(_HashedFile(path, size, *_digests(path, size, bar)))
            except OSError as error:
                failed.append(FoundFile(path, "unreadable", error.strerror or str(error), size))
    return hashed, failed


def _digests(path: Path, size: int, bar: Bar) -> tuple[str, str]:
    """The SHA-256 and the git blob's SHA-1 of a file, read once."""
    content, blob = hashlib.sha256(), hashlib.sha1(git_blob_header(size), usedforsecurity=False)
    done = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            content.update(block)
            blob.update(block)
            bar.advance(round((done + len(block)) / 1e6) - round(done / 1e6))
            done += len(block)
    return content.hexdigest(), blob.hexdigest()


# Kind of each file -------------------------------------------------------------------------------------------------------


def _classify(file: _HashedFile, sources: Sequence[RecipeSource], recipes: Sequence[Recipe]) -> FoundFile:
    """Classify a file by its hash; if no source declares it, by its name and tensors."""
    matches = tuple((recipe, source) for recipe, source in sources if source.hash is not None and file.has(source.hash))
    if matches:
        return _check_companions(file, matches)
    if file.path.suffix == ".safetensors" and no_checkpoint(file.path) is None and _is_own(file.path):
        return _classify_own(file)
    return _by_name(file, sources, recipes)


def _check_companions(file: _HashedFile, matches: tuple[RecipeSource, ...]) -> FoundFile:
    """Classify a file with the published content: it is damaged if a companion file is missing or does not belong to it."""
    known = matches[0][1].hash
    assert known is not None
    why = f"{known.name} {known.digits}{'' if known.complete else '...'}, as stated by {known.stated_by}"
    for companion in matches[0][1].parts:
        beside = file.path.with_name(companion.name)
        if not beside.is_file():
            return file.found("damaged", f"{why}, but {companion.name} is missing beside it", matches)
        problem = _reading_problem(beside) if beside.suffix == ".index" else ""
        if problem:
            return file.found(
                "damaged", f"{why}, but {companion.name} beside it does not belong to it: {problem}", matches
            )
    return file.found("published", why, matches)


def _by_name(file: _HashedFile, sources: Sequence[RecipeSource], recipes: Sequence[Recipe]) -> FoundFile:
    """Classify a file whose hash no recipe declares, by its name, size and tensors."""
    named, hash_in_name = tuple(match for match in sources if match[1].file == file.path.name), file.hash_in_name
    if other := no_checkpoint(file.path):
        return file.found("damaged" if named or hash_in_name else "unknown", other, named)
    hashed = tuple((recipe, source) for recipe, source in named if source.hash is not None)
    unhashed = tuple((recipe, source) for recipe, source in named if source.hash is None)
    content = None
    if hashed and hash_in_name is None:
        # Under a common name, such as model.ckpt, only a file with the same network can be a damaged published file.
        content = _infer_content(file.path)
        hashed = tuple(match for match in hashed if content.problem or not _contradiction(*match, content))
    if hashed and (known := hashed[0][1].hash) is not None:
        return file.found("damaged", other_hash(file.digits(known), known), hashed)
    if not named and hash_in_name is not None and not file.has(hash_in_name):
        return file.found("damaged", other_hash(file.digits(hash_in_name), hash_in_name))
    content = content or _infer_content(file.path)
    if unhashed:
        return _without_hash(file, unhashed, content)
    if content.problem or content.config is None:
        layouts = (
            f"a file in the layout {content.layouts[0]}, of a network that Marey does not have"
            if content.layouts
            else ""
        )
        return file.found("unknown", content.problem or layouts)
    return file.found("similar", _similar(content, content.config, recipes))


def _without_hash(file: _HashedFile, named: tuple[RecipeSource, ...], content: _InferredContent) -> FoundFile:
    """Classify a file with the name of a published file whose hash is unknown."""
    recipe, source = named[0]
    if source.size is not None and source.size != file.size:
        return file.found("damaged", f"{file.size:,} bytes, the published file has {source.size:,}", named)
    if content.problem:
        return file.found("damaged", content.problem, named)
    if contradiction := _contradiction(recipe, source, content):
        return file.found("misnamed", contradiction, named)
    holds = f": {_network_text(content.config)}" if content.config is not None else ""
    size = ", size" if source.size is not None else ""
    return file.found("likely", f"by name{size} and layout ({content.layouts[0]}){holds}", named)


def _similar(content: _InferredContent, config: NetworkConfig, recipes: Sequence[Recipe]) -> str:
    """The content of a file, and the recipes with such a network, those of the same layout first."""
    alike = [recipe for recipe in recipes if not _other_sizes(recipe.model, config)]
    alike.sort(key=lambda recipe: not any(source.layout in content.layouts for source in recipe.weights))
    first = ", ".join(recipe.name for recipe in alike[:3])
    more = f" and {len(alike) - 3} more" if len(alike) > 3 else ""
    rows = f"as of {first}{more}" if alike else "which no recipe has"
    if content.headless:
        rows = "it can only start a training (--init FILE)"
    return f"layout {content.layouts[0]}: {_network_text(config, headless=content.headless)}; {rows}"


def _contradiction(recipe: Recipe, source: Source, content: _InferredContent) -> str:
    """How the tensors of a file differ from those of a recipe's published file; empty if they may be the same."""
    if source.layout is not None and source.layout not in content.layouts:
        return f"layout {content.layouts[0]}, expected {source.layout}"
    if content.config is not None and _other_sizes(recipe.model, content.config):
        return f"holds {_network_text(content.config)}; expected {_network_text(recipe.model)}"
    return ""


def _other_sizes(one: NetworkConfig, other: NetworkConfig) -> bool:
    """Whether two networks differ in a field of `_SIZES`, so that their tensors have other shapes."""
    mine, theirs = dict(one), dict(other)
    return any(mine.get(size) != theirs.get(size) for size in _SIZES)


def _network_text(config: NetworkConfig, *, headless: bool = False) -> str:
    values = dict(config)
    depth = f" {values['depth']}" if "depth" in values else ""
    channels = "" if config.channels == 3 else f", {counted(config.channels, 'channel')}"
    classes = "no classifier" if headless else f"{counted(config.num_classes, 'class')}"
    return f"{config.network}{depth}{channels}, {classes}"


def _infer_content(path: Path) -> _InferredContent:
    """Infer the content of another toolkit's file from its tensors. Imports torch."""
    from marey.weights.foreign import read_foreign

    shard = _SHARD.fullmatch(path.name)
    file = path.with_name(f"{shard[1]}.index") if shard else path
    try:
        read = read_foreign(file)
    except WeightsError as error:
        return _InferredContent(problem=_short_message(error, file))
    except Exception as error:  # one unreadable file must not stop the search
        return _InferredContent(
            problem=f"cannot be read ({type(error).__name__}: {' '.join(str(error).split())[:100]})"
        )
    try:
        reading = read.by_shapes()
    except WeightsError:
        return _InferredContent(read.layout_names)
    headless = not reading.layout.has_classifier(read.contents.tensors)
    return _InferredContent(
        (reading.layout.name,), None if reading.inferred is None else reading.inferred.config, headless
    )


def _reading_problem(index: Path) -> str:
    """Why the index of a TensorFlow checkpoint does not fit the values beside it; empty if it does."""
    from marey.weights.foreign import read_contents

    try:
        return "; ".join(read_contents(index).notes)
    except WeightsError as error:
        return _short_message(error, index)


def _is_own(path: Path) -> bool:
    """Whether Marey wrote a .safetensors file, or it cannot be read. Imports torch."""
    from marey.weights.checkpoint import is_own

    return is_own(path)


def _classify_own(file: _HashedFile) -> FoundFile:
    from marey.weights.checkpoint import read_checkpoint

    try:
        recipe = read_checkpoint(file.path).recipe
    except WeightsError as error:
        return file.found("unknown", _short_message(error, file.path))
    return file.found("ours", f"trained by {recipe.name}: {_network_text(recipe.model)}")


def _short_message(error: WeightsError, path: Path) -> str:
    """The message of an error without the path at its start and the full stop at its end."""
    return " ".join(str(error).removeprefix(f"{path}: ").split()).rstrip(".")
