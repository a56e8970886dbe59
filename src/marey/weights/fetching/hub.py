"""Files and models on the Hugging Face hub, and `fetch_file`, which fetches from the hub or from any other address.

    hf://org/name@revision/file     a file
    hf://org/name@revision          a model: model.safetensors, and recipe.json beside it

Without @revision the main branch is used. A revision is a branch, a tag or a commit; a slash in it is written %2F, except in
refs/pr/1. $HF_ENDPOINT is the address of another hub or of a copy of it. If the extra `hub` is installed, the hub's own
client fetches, with its cache and its token. Otherwise files are fetched by plain HTTPS, which reaches public files only.
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

from marey.base.address import offline
from marey.base.declaration import first_problem
from marey.base.errors import WeightsError
from marey.base.files import cache_folder, link, rename
from marey.base.reporter import notice, warning
from marey.recipe.source import HUB, Hash
from marey.weights.fetching.cached_files import admit, checkpoint_mismatch, record_of
from marey.weights.fetching.connections import AbsentError, SourceError
from marey.weights.fetching.download import RETRY_POLICY, RetryPolicy, download
from marey.weights.files.find_checkpoint import MODEL, RECIPE

PUBLIC_HUB = "https://huggingface.co"
_EXTRA = 'the extra "hub" (pip install "marey[hub]") uses your token'
_NAME = r"[A-Za-z0-9_][\w.-]*"
_ADDRESS = re.compile(
    rf"{HUB}(?!datasets/|spaces/)(?P<repository>{_NAME}/{_NAME})"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[^/?#@]+|[^/?#@]+))?(?:/(?P<file>[^?#]+))?",
    re.ASCII,
)
_FORMS = {True: f"{HUB}org/name@revision/file", False: f"{HUB}org/name or {HUB}org/name@revision"}
"""Forms of the address of a file (True) and of a model (False), for messages."""
_RULES = ", of a model's repository; / in a revision is written %2F, ? and # are %3F and %23."


@dataclass(frozen=True)
class _HubAddress:
    """The components of an address on the hub."""

    repository: str
    """Name of the repository, as org/name."""
    revision: str | None
    """A branch, tag or commit; None: the main branch."""
    file: str | None
    """Path of a file in the repository; None: the address names a model."""

    def resolved(self, endpoint: str | None) -> str:
        """The HTTPS address of the file."""
        base, revision = endpoint or _endpoint(), quote(self.revision or "main", safe="")
        return f"{base}/{self.repository}/resolve/{revision}/{quote(self.file or '')}"


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT", "").strip() or PUBLIC_HUB).rstrip("/")


def _parse_address(address: str, *, of_a_file: bool) -> _HubAddress:
    found = _ADDRESS.fullmatch(address)
    if found is not None and (found["file"] is not None) == of_a_file:
        revision, file = (text and unquote(text) for text in (found["revision"], found["file"]))
        if not (file and set(file.split("/")) & {"", ".", ".."}):
            return _HubAddress(found["repository"], revision, file)
    raise WeightsError(f"{address}: expected {_FORMS[of_a_file]}{_RULES}")


def names_file(address: str) -> bool:
    """Whether an address on the hub names a file, hf://org/name@revision/file, rather than a model.

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
        address: The address on the hub.
        endpoint: Address of the hub; None: $HF_ENDPOINT, or https://huggingface.co.

    Raises:
        WeightsError: an address of another form.
    """
    return _parse_address(address, of_a_file=True).resolved(endpoint)


def fetch_file(
    address: str, target: Path, *, known: Hash | None, size: int | None = None, retries: RetryPolicy = RETRY_POLICY
) -> None:
    """Fetch the file at an address to `target`: by `fetch_hub_file` for hf://, else by `download`.

    Raises:
        WeightsError: as raised by these functions.
    """
    (fetch_hub_file if address.startswith(HUB) else download)(address, target, known=known, size=size, retries=retries)


def fetch_hub_file(
    address: str, target: Path, *, known: Hash | None, size: int | None = None, retries: RetryPolicy = RETRY_POLICY
) -> None:
    """Fetch the file hf://org/name@revision/file to `target`.

    With the extra `hub` the file stays in the cache of the hub's client, and `target` is a link to it.

    Args:
        address: The address on the hub.
        target: Path of the file. A link replaces an existing file; without the extra it is kept or replaced as in
            `download`.
        known: Hash of the file; None: unknown.
        size: Size in bytes; None: unknown.
        retries: When a download without the extra is tried again.

    Raises:
        AbsentError: without the extra: the file does not exist or is not public.
        SourceError: the hub cannot be reached, the file is not the expected one, or any error of the hub's client.
        WeightsError: an address of another form, offline, no space.
    """
    parsed = _parse_address(address, of_a_file=True)
    hub = _client()
    if hub is None:
        with _access_errors(address):
            download(parsed.resolved(None), target, known=known, size=size, retries=retries)
        return
    with _errors_of_the_client(address):
        options = {"revision": parsed.revision, "local_files_only": offline()}
        path = Path(hub.hf_hub_download(parsed.repository, parsed.file, **options))
    if problem := checkpoint_mismatch(path, known, size):
        raise SourceError(f"{address}: is not the file that was published: {problem} ({path})")
    link(path, target)


def fetch_snapshot(address: str, *, trust_first_use: bool = False, retries: RetryPolicy = RETRY_POLICY) -> Path:
    """The folder of a model on the hub, hf://org/name or hf://org/name@revision: model.safetensors, and recipe.json.

    The hub is asked each time for the commit of a branch or tag. Offline, or if the hub cannot be reached, the last known
    commit is used, with a notice. With the extra `hub` the folder is in the cache of the hub's client; otherwise the files
    are verified by the hashes that the hub states, and cached by commit.

    Args:
        address: The address on the hub.
        trust_first_use: Whether a model without a hash on the hub may be fetched. The hub's client does not ask for one.
        retries: When a download without the extra is tried again.

    Raises:
        WeightsError: an address of another form, no such model, a hub that cannot be reached and no known commit, no
            model.safetensors in it, another content than before, or no hash and `trust_first_use` not given.
    """
    parsed = _parse_address(address, of_a_file=False)
    hub = _client()
    if hub is None:
        return _snapshot(address, parsed, trust_first_use, retries)
    options = {"revision": parsed.revision, "allow_patterns": [MODEL, RECIPE], "local_files_only": offline()}
    try:
        with _errors_of_the_client(address):
            return Path(hub.snapshot_download(parsed.repository, **options))
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
    """The error for a model that is not here and cannot be fetched offline; `where` names where it was searched."""
    return WeightsError(
        f"the model {address} is not in the cache ({where}), and the network is not to be used (--offline, MAREY_OFFLINE). "
        "Use it once where there is a network and copy the cache, or name a copy of its folder."
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
def _access_errors(address: str) -> Iterator[None]:
    """Name both possible causes when the hub refuses access: the model or file does not exist, or is not public."""
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
    """SHA-256 of the content, 64 hexadecimal digits."""


class _Listed(BaseModel):
    """A file of a revision in the hub's list; other fields of the list are ignored."""

    rfilename: str
    """Path of the file in the repository."""
    size: int | None = None
    """Size in bytes; None: the hub does not state it."""
    blobId: Annotated[str | None, Field(pattern="^[0-9a-f]{40}$")] = None  # noqa: N815 - the hub's name
    """The id by which git's trees name the file, 40 hexadecimal digits; None: the hub does not state it."""
    lfs: _LargeFile | None = None
    """The hash of a large file; None for a small one."""

    @property
    def hash(self) -> Hash | None:
        """SHA-256 of a large file, git blob id of a small one; None if the hub states neither."""
        if self.lfs is not None:
            return Hash(digits=self.lfs.sha256, stated_by="the hub")
        return Hash(algorithm="git_blob", digits=self.blobId, stated_by="the hub") if self.blobId else None


class _Revision(BaseModel):
    """The hub's description of a revision."""

    sha: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    """Commit of the revision."""
    siblings: list[_Listed]
    """Files of the revision."""


def _snapshot(address: str, parsed: _HubAddress, trust_first_use: bool, retries: RetryPolicy) -> Path:
    repository_folder = cache_folder() / "hub" / parsed.repository.replace("/", "--")
    description = repository_folder / "revisions" / f"{quote(parsed.revision or 'main', safe='')}.json"
    revision = _revision(address, parsed, description, retries)
    listed = {file.rfilename: file for file in revision.siblings}
    if MODEL not in listed:
        held = ", ".join(list(listed)[:5]) or "nothing"
        raise WeightsError(
            f"{address}: holds no {MODEL}, but {held}. Name another file by its address: {HUB}org/name@revision/file."
        )
    folder = repository_folder / revision.sha
    if listed[MODEL].hash is None and record_of(folder / MODEL) is None and not trust_first_use:
        raise WeightsError(
            f"{address}: the hub gives no hash of {MODEL}: it is fetched only with --trust-first-use "
            "(trust_first_use=True). Its SHA-256 is recorded, and a later change is refused."
        )
    for name in (RECIPE, MODEL):
        if name not in listed or record_of(folder / name) is not None:
            continue
        if offline() and not (folder / name).is_file():
            raise _not_here(address, str(folder))
        url, known = replace(parsed, revision=revision.sha, file=name).resolved(None), listed[name].hash
        with _access_errors(address):
            download(url, folder / name, known=known, size=listed[name].size, retries=retries)
        admit(folder / name, address=url, trust="none" if known is None else "checked")
    return folder


def _revision(address: str, parsed: _HubAddress, saved: Path, retries: RetryPolicy) -> _Revision:
    """The hub's description of a revision. The `saved` one is used for a commit, which never changes, and for a branch or
    tag if the hub cannot be asked.
    """
    wanted = parsed.revision or "main"
    if saved.is_file() and re.fullmatch("[0-9a-f]{40}", wanted):
        return _read_revision(address, saved)
    url = f"{_endpoint()}/api/models/{parsed.repository}/revision/{quote(wanted, safe='')}?blobs=true"
    if offline() and not saved.is_file():
        raise _not_here(address, str(saved.parent.parent))
    if not offline():
        hub = cache_folder() / "hub"
        hub.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(dir=hub) as folder, _access_errors(address):
                answer = Path(folder) / "answer.json"
                download(url, answer, known=None, retries=retries)
                current = _read_revision(address, answer)
                saved.parent.mkdir(parents=True, exist_ok=True)
                rename(answer, saved)
                return current
        except AbsentError:
            raise
        except SourceError as error:
            if not saved.is_file():
                raise
            why, report = error.what, warning
    else:
        why, report = f"{address}: MAREY_OFFLINE forbids asking the hub", notice
    last_known = _read_revision(address, saved)
    seen = date.fromtimestamp(saved.stat().st_mtime)
    report(f"{why}; using the commit {last_known.sha[:12]}, which {wanted} was on {seen}")
    return last_known


def _read_revision(address: str, answer: Path) -> _Revision:
    try:
        return _Revision.model_validate_json(answer.read_bytes())
    except ValidationError as error:
        raise SourceError(
            f"{address}: the answer is not in the format of the hub ({': '.join(first_problem(error))})"
        ) from None
