"""Addresses of weights files, with hash, size, licence and layout, and how well the content can be checked."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, PositiveInt, ValidationError, ValidationInfo, field_validator, model_validator

from marey.base.declaration import Declaration, first_problem
from marey.base.reporter import warning
from marey.recipe.hosts import HostState, state_of, worse_state

HUB = "hf://"
"""The beginning of addresses on the Hugging Face hub."""

Trust = Literal["verified", "checked", "prefix", "none"]
"""How well the content of a file can be checked. "verified": by the complete SHA-256 that its publisher states.
"checked": by another complete hash, or one that only others state. "prefix": by the first digits of a SHA-256, which
reveal damage but stop no attacker. "none": not at all."""
TRUST_ORDER: tuple[Trust, ...] = ("verified", "checked", "prefix", "none")
"""From the best check to none."""

PUBLISHER = "the publisher"
"""`Hash.stated_by` where the publisher of the file states the hash."""
_COMMERCIAL = frozenset({"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0"})
"""SPDX identifiers of licences that allow commercial use."""


def _one_word(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+([-_.+][a-z0-9]+)*", value):
        raise ValueError(
            f"{value!r} is no word of lower-case letters and digits, with - _ . + between them (imagenet, videomae_k400)"
        )
    return value


LowerCaseWord = Annotated[str, AfterValidator(_one_word)]
"""A name such as "ig65m" or "videomae_k400". Which names are known is checked where they are used."""


def _file_name(value: str) -> str:
    if not value or value in (".", "..") or len(value.encode()) > 200 or re.search(r"[/\\\x00-\x1f]", value):
        raise ValueError(f"{value[:100]!r} is no name of a file: expected at most 200 bytes, without a folder")
    return value


FileName = Annotated[str, AfterValidator(_file_name)]
"""The name of a file, without a folder. The cache stores the file under this name."""


class Hash(Declaration):
    """A hash of a file's content, or its first digits, and who states it."""

    algorithm: Literal["sha256", "git_blob"] = "sha256"
    """What is hashed, and how. "sha256": SHA-256 of the content. "git_blob": SHA-1 of git's header ("blob", the size)
    and the content, as git's trees name files."""
    digits: str
    """Hexadecimal digits: of a SHA-256 all 64, or at least the first 8; of a git blob all 40."""
    stated_by: str = PUBLISHER
    """Who states the hash: the publisher of the file (`PUBLISHER`), or the document of somebody else."""

    @field_validator("digits")
    @classmethod
    def _hexadecimal(cls, value: str, info: ValidationInfo) -> str:
        value = value.lower()
        least, most = (40, 40) if info.data.get("algorithm") == "git_blob" else (8, 64)
        if not (least <= len(value) <= most and re.fullmatch("[0-9a-f]+", value)):
            length = "its 64 hexadecimal digits, or at least the first 8" if most == 64 else "its 40 hexadecimal digits"
            raise ValueError(f"{value!r} is no {info.data.get('algorithm', 'sha256')}: expected {length}")
        return value

    @property
    def name(self) -> str:
        """Name of the algorithm for a person to read."""
        return "SHA-256" if self.algorithm == "sha256" else "git blob id"

    @property
    def complete(self) -> bool:
        """Whether all digits of the hash are known."""
        return len(self.digits) == 64 or self.algorithm == "git_blob"

    @property
    def trust(self) -> Trust:
        """How well this hash checks a file."""
        if not self.complete:
            return "prefix"
        return "verified" if self.stated_by == PUBLISHER and self.algorithm == "sha256" else "checked"


class CompanionFile(Declaration):
    """A second file that a weights file needs in its folder: the index of a TensorFlow checkpoint."""

    name: FileName
    """Name of the file, without a folder."""
    hash: Hash | None = None
    """Hash of the companion file; None: no hash is known."""
    size: PositiveInt | None = None
    """Size in bytes; None: unknown."""


class Source(Declaration):
    """One address of a weights file."""

    address: str
    """The address: https://..., or hf://org/name@revision/file on the Hugging Face hub (without @revision: its main
    branch)."""
    by: str
    """The toolkit or person that put the file there."""
    kind: Literal["publisher", "copy"] = "publisher"
    """Whether the authors of the file published it at this address, or somebody put a copy there."""
    size: PositiveInt | None = None
    """Size in bytes; None: unknown."""
    layout: LowerCaseWord | None = None
    """The layout by which the file names its tensors (`marey.weights.layouts.all.LAYOUTS`); a file of another layout is
    refused. None: unknown."""
    hash: Hash | None = None
    """Hash of the file; None: no hash is known."""
    parts: tuple[CompanionFile, ...] = ()
    """Other files of the same folder that are fetched with it; () for none."""
    licence: str = "unknown"
    """Licence of the file: an SPDX identifier, several joined by AND, or "unknown"."""
    licence_stated_by: Literal["model card", "repository", "not stated"] = "not stated"
    """Where the licence is stated."""
    state: HostState
    """What was reported about the address; by default what was reported about its host. If the host has a worse state,
    because its files were lost after the recipe was written, the host's state is used."""

    @model_validator(mode="before")
    @classmethod
    def _state_of_its_host(cls, values: Any) -> Any:
        if isinstance(values, dict) and "state" not in values and isinstance(values.get("address"), str):
            return values | {"state": state_of(values["address"])}
        return values

    @field_validator("state")
    @classmethod
    def _at_best_its_host(cls, value: HostState, info: ValidationInfo) -> HostState:
        return worse_state(value, state_of(info.data.get("address", "")))

    @model_validator(mode="after")
    def _address_of_a_file(self) -> Self:
        this_machine = re.match(r"http://(127\.0\.0\.1|localhost)[:/]", self.address)
        if not (self.address.startswith(("https://", HUB)) or this_machine):
            raise ValueError(f"{self.address}: expected https://... or {HUB}org/name@revision/file")
        if not self.file or (self.address.startswith(HUB) and self.address.count("/") < 4):
            raise ValueError(f"{self.address}: names no file")
        _file_name(self.file)
        host = urlsplit(self.address).netloc
        if not host.partition(":")[0] or "@" in host:
            raise ValueError(f"{self.address}: expected the name of a host after //, without a user or password")
        if any(companion.name == self.file for companion in self.parts):
            raise ValueError(f"parts: {self.file} is the file itself, not another one of its folder")
        return self

    @property
    def file(self) -> str:
        """Name of the file."""
        return PurePosixPath(unquote(urlsplit(self.address).path)).name

    @property
    def host(self) -> str:
        """Name of the host."""
        return "huggingface.co" if self.address.startswith(HUB) else urlsplit(self.address).hostname or ""

    @property
    def trust(self) -> Trust:
        """How well the files at this address can be checked; with companion files, the worst value of all files."""
        hashes = [self.hash, *(companion.hash for companion in self.parts)]
        return max(("none" if known is None else known.trust for known in hashes), key=TRUST_ORDER.index)

    @property
    def usable(self) -> bool:
        """Whether Marey downloads from this address: no loss is reported, or its host is back and all files have a hash."""
        if self.state.reported == "lost and back":
            return self.trust != "none"
        return self.state.reported == "no loss reported"

    @property
    def commercial(self) -> bool:
        """Whether the licence is known to allow commercial use."""
        return set(self.licence.split(" AND ")) <= _COMMERCIAL

    @property
    def not_automatic(self) -> str | None:
        """Why the file is used only if the user names it; None if it may be chosen automatically."""
        if self.state.reported != "no loss reported":
            return f"its host is reported {self.state.reported}"
        if self.trust not in ("verified", "prefix"):
            return "its publisher gave no hash"
        if not self.commercial:
            return f"its licence ({self.licence}) is not known to allow commercial use"
        return None


def usable_sources(sources: Iterable[Source]) -> tuple[Source, ...]:
    """The usable sources in the order in which they are tried: hosts without a loss first, then the best check first."""
    return tuple(
        sorted(
            (source for source in sources if source.usable),
            key=lambda source: (source.state.reported == "lost and back", TRUST_ORDER.index(source.trust)),
        )
    )


def sources_from(value: Any) -> Any:
    """The sources of a recipe. The form of version 0.1.0 is also read: None, or one dictionary with `url` and `sha256`."""
    if value is None:
        return ()
    if not (isinstance(value, dict) and "url" in value):
        return value
    known = {"url", "sha256", "layout", "licence"}
    if unknown := [key for key in value if key not in known]:
        raise ValueError(f"weights of one address have no {unknown[0]!r}: known are {', '.join(sorted(known))}")
    layout, licence = value.get("layout"), str(value.get("licence") or "unknown")
    try:
        source = Source.model_validate(
            {
                "address": value["url"],
                "by": "the recipe of version 0.1.0",
                # Version 0.1.0 had two names for the layout of VideoResNets, VMZ's and torchvision's.
                "layout": "videoresnet" if layout in ("vmz", "torchvision") else layout,
                "hash": {"digits": value.get("sha256")},
                "licence": licence.replace(", the conversion ", " AND "),
                "licence_stated_by": "not stated" if licence == "unknown" else "repository",
            }
        )
    except ValidationError as error:
        # Version 0.1.0 allowed any text as address or hash. A checkpoint with such a recipe has its own weights.
        warning(f"weights of {value['url']} are left out of the recipe: {': '.join(first_problem(error))}")
        return ()
    return (source,)
