"""Files and models on the Hugging Face hub, and `bring`, which fetches from there and from any other address.

    hf://org/name@revision/file     a file
    hf://org/name@revision          a model: model.safetensors, and recipe.json beside it

Without @revision the main branch is meant. A revision is a branch, a tag or a commit; a slash in it is written %2F, but in
refs/pr/1. $HF_ENDPOINT is the address of another hub or of a copy of it. With the extra `hub` installed that hub's own
client fetches, with its cache and its token; without it plain HTTPS does, which gives what is public.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Annotated
from urllib.parse import quote, unquote

from pydantic import BaseModel, Field, ValidationError

from marey.base.declaration import first_problem
from marey.base.errors import WeightsError
from marey.base.files import cache_folder, link, rename
from marey.base.network import offline
from marey.base.reporter import notice, warning
from marey.recipe.source import HUB, Hash
from marey.weights.fetching.content import difference
from marey.weights.fetching.download import PATIENCE, AbsentError, Patience, SourceError, download
from marey.weights.fetching.store import admit, record_of

PUBLIC_HUB = "https://huggingface.co"
_EXTRA = 'the extra "hub" (pip install "marey[hub]") uses your token'
_MODEL, _RECIPE = "model.safetensors", "recipe.json"
_NAME = r"[A-Za-z0-9_][\w.-]*"
_ADDRESS = re.compile(
    rf"{HUB}(?!datasets/|spaces/)(?P<repository>{_NAME}/{_NAME})"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[^/?#@]+|[^/?#@]+))?(?:/(?P<file>[^?#]+))?",
    re.ASCII,
)
_FORMS = {True: f"{HUB}org/name@revision/file", False: f"{HUB}org/name or {HUB}org/name@revision"}
"""Of addresses of files, and of models."""
_RULES = ", of a model's repository; / in a revision is written %2F, ? and # are %3F and %23."


@dataclass(frozen=True)
class _Place:
    """What an address of the hub names."""

    repository: str
    """org/name."""
    revision: str | None
    file: str | None

    def resolved(self, endpoint: str | None) -> str:
        """The address of the file by HTTPS."""
        base, revision = endpoint or _endpoint(), quote(self.revision or "main", safe="")
        return f"{base}/{self.repository}/resolve/{revision}/{quote(self.file or '')}"


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT", "").strip() or PUBLIC_HUB).rstrip("/")


def _place(address: str, *, of_a_file: bool) -> _Place:
    found = _ADDRESS.fullmatch(address)
    if found is not None and (found["file"] is not None) == of_a_file:
        revision, file = (part and unquote(part) for part in (found["revision"], found["file"]))
        if not (file and set(file.split("/")) & {"", ".", ".."}):
            return _Place(found["repository"], revision, file)
    raise WeightsError(f"{address}: expected {_FORMS[of_a_file]}{_RULES}")


def names_file(address: str) -> bool:
    """Whether an address of the hub names a file, hf://org/name@revision/file, and not a whole model.

    Raises:
        WeightsError: an address of neither form.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise WeightsError(f"{address}: expected {_FORMS[False]}, or {_FORMS[True]}{_RULES}")
    return found["file"] is not None


def hub_address(address: str, *, endpoint: str | None = None) -> str:
    """The HTTPS address of the file that hf://org/name@revision/file names.

    Args:
        address: It.
        endpoint: The hub's own address; None is $HF_ENDPOINT, or https://huggingface.co.

    Raises:
        WeightsError: an address of another form.
    """
    return _place(address, of_a_file=True).resolved(endpoint)


def bring(
    address: str, target: Path, *, known: Hash | None, size: int | None = None, patience: Patience = PATIENCE
) -> None:
    """Bring the file at an address of either kind to `target`: `download`, or `fetch_hub_file` for hf://.

    Raises:
        WeightsError: as they do.
    """
    (fetch_hub_file if address.startswith(HUB) else download)(
        address, target, known=known, size=size, patience=patience
    )


def fetch_hub_file(
    address: str, target: Path, *, known: Hash | None, size: int | None = None, patience: Patience = PATIENCE
) -> None:
    """Bring the file that hf://org/name@revision/file names to `target`.

    With the extra `hub` it stays in that hub's own cache, and `target` is a link to it.

    Args:
        address: It.
        target: The file, which is replaced if it is there.
        known: Its hash; None: not known.
        size: Bytes, if known.
        patience: Of a download without the extra.

    Raises:
        AbsentError: no such file, or not for everyone.
        SourceError: not reachable, or not the file that it should be.
        WeightsError: an address of another form, offline, no space.
    """
    place = _place(address, of_a_file=True)
    hub = _client()
    if hub is None:
        with _access(address):
            download(place.resolved(None), target, known=known, size=size, patience=patience)
        return
    with _errors_of_the_client(address):
        options = {"revision": place.revision, "local_files_only": offline()}
        path = Path(hub.hf_hub_download(place.repository, place.file, **options))
    if other := difference(path, known, size):
        raise SourceError(f"{address}: is not the file that was published: {other} ({path})")
    link(path, target)


def fetch_snapshot(address: str, *, trust_first_use: bool = False, patience: Patience = PATIENCE) -> Path:
    """The folder of a model on the hub, hf://org/name or hf://org/name@revision: model.safetensors, and recipe.json.

    A branch or tag is asked anew each time for its commit. Offline, or where the hub cannot be reached, the last one that is
    known is taken, with a notice. With the extra `hub` the folder is in that hub's own cache; else the files are verified by
    the hashes that the hub gives, and kept by commit.

    Args:
        address: It.
        trust_first_use: Fetch a model of which the hub gives no hash, too.
        patience: Of a download without the extra.

    Raises:
        WeightsError: an address of another form, no such model, not reachable and none known, no model.safetensors in it,
            another content than before, or no hash and no word of the user.
    """
    place = _place(address, of_a_file=False)
    hub = _client()
    if hub is None:
        return _snapshot(address, place, trust_first_use, patience)
    options = {"revision": place.revision, "allow_patterns": [_MODEL, _RECIPE], "local_files_only": offline()}
    try:
        with _errors_of_the_client(address):
            return Path(hub.snapshot_download(place.repository, **options))
    except SourceError as error:
        raise (_not_here(address, error.what) if offline() else error) from None


def _client() -> ModuleType | None:
    try:
        import huggingface_hub
    except ImportError:
        return None
    client: ModuleType = huggingface_hub
    return client


def _not_here(address: str, where: str) -> WeightsError:
    """That a model cannot be had offline; `where` says where it was looked for."""
    return WeightsError(
        f"the model {address} is not in the cache ({where}), and the network is not to be used (--offline, MAREY_OFFLINE). "
        "Name it once where there is a network, and take the cache along; or name a copy of its folder."
    )


@contextlib.contextmanager
def _errors_of_the_client(address: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise SourceError(
            f"{address}: cannot be fetched ({lines[0]}); HF_ENDPOINT may name a copy of the hub"
        ) from None


@contextlib.contextmanager
def _access(address: str) -> Iterator[None]:
    """Say what may be behind the hub's refusal of what is not public, and of what does not exist."""
    try:
        yield
    except AbsentError as error:
        if error.status not in (401, 403):
            raise
        raise AbsentError(
            f"{error.what}: {address} does not exist, or is private or gated, for which {_EXTRA}", error.status
        ) from None


# Models by plain HTTPS --------------------------------------------------------------------------------------------------


class _LargeFile(BaseModel):
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Listed(BaseModel):
    """A file of a revision as the hub lists it; what else it says there is left out."""

    rfilename: str
    size: int | None = None
    blobId: Annotated[str | None, Field(pattern="^[0-9a-f]{40}$")] = None  # noqa: N815 - the hub's name
    lfs: _LargeFile | None = None

    @property
    def hash(self) -> Hash | None:
        """A large file's SHA-256, a small one's git blob id."""
        if self.lfs is not None:
            return Hash(digits=self.lfs.sha256, stated_by="the hub")
        return Hash(algorithm="git_blob", digits=self.blobId, stated_by="the hub") if self.blobId else None


class _Revision(BaseModel):
    """What the hub says of a revision."""

    sha: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    """Its commit."""
    siblings: list[_Listed]


def _snapshot(address: str, place: _Place, trust_first_use: bool, patience: Patience) -> Path:
    home = cache_folder() / "hub" / place.repository.replace("/", "--")
    kept = home / "revisions" / f"{quote(place.revision or 'main', safe='')}.json"
    revision = _revision(address, place, kept, patience)
    listed = {file.rfilename: file for file in revision.siblings}
    if _MODEL not in listed:
        held = ", ".join(list(listed)[:5]) or "nothing"
        raise WeightsError(
            f"{address}: holds no {_MODEL}, but {held}. Name another file whole: {HUB}org/name@revision/file."
        )
    folder = home / revision.sha
    if listed[_MODEL].hash is None and record_of(folder / _MODEL) is None and not trust_first_use:
        raise WeightsError(
            f"{address}: the hub gives no hash of {_MODEL}: it is fetched on your word only: --trust-first-use "
            "(trust_first_use=True). Its SHA-256 is recorded, and a later change is refused."
        )
    for name in (_RECIPE, _MODEL):
        if name not in listed or record_of(folder / name) is not None:
            continue
        if offline() and not (folder / name).is_file():
            raise _not_here(address, str(folder))
        url, known = replace(place, revision=revision.sha, file=name).resolved(None), listed[name].hash
        with _access(address):
            download(url, folder / name, known=known, size=listed[name].size, patience=patience)
        admit(folder / name, address=url, trust="none" if known is None else "checked")
    return folder


def _revision(address: str, place: _Place, kept: Path, patience: Patience) -> _Revision:
    """What the hub says of a revision now; `kept` has its last answer, which is taken for a commit and without a network."""
    wanted = place.revision or "main"
    if kept.is_file() and re.fullmatch("[0-9a-f]{40}", wanted):
        return _parsed(address, kept)
    url = f"{_endpoint()}/api/models/{place.repository}/revision/{quote(wanted, safe='')}?blobs=true"
    if offline() and not kept.is_file():
        raise _not_here(address, str(kept.parent.parent))
    if not offline():
        hub = cache_folder() / "hub"
        hub.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(dir=hub) as folder, _access(address):
                answer = Path(folder) / "answer.json"
                download(url, answer, known=None, patience=patience)
                found = _parsed(address, answer)
                kept.parent.mkdir(parents=True, exist_ok=True)
                rename(answer, kept)
                return found
        except AbsentError:
            raise
        except SourceError as error:
            if not kept.is_file():
                raise
            why, tell = error.what, warning
    else:
        why, tell = f"{address}: MAREY_OFFLINE forbids asking the hub", notice
    found = _parsed(address, kept)
    seen = date.fromtimestamp(kept.stat().st_mtime)
    tell(f"{why}; taken is the commit {found.sha[:12]}, which {wanted} was on {seen}")
    return found


def _parsed(address: str, answer: Path) -> _Revision:
    try:
        return _Revision.model_validate_json(answer.read_bytes())
    except ValidationError as error:
        raise SourceError(
            f"{address}: the hub's answer is not that of a hub ({': '.join(first_problem(error))})"
        ) from None
