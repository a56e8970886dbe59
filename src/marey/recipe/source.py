"""Where trained weights can be fetched from, what is known of the file, and how far that knowledge can be trusted."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, PositiveInt, ValidationError, ValidationInfo, field_validator, model_validator

from marey.base.declaration import Declaration, first_problem
from marey.base.reporter import warning
from marey.recipe.hosts import State, state_of, worse

HUB = "hf://"

Trust = Literal["verified", "checked", "prefix", "none"]
"""How a file is known: by the whole SHA-256 that its publisher gave; by a whole hash that only others give; by the first
digits of a SHA-256, which reveal damage but stop no attacker; by nothing."""
TRUST_ORDER: tuple[Trust, ...] = ("verified", "checked", "prefix", "none")
"""From the best known to the least."""

PUBLISHER = "the publisher"
_COMMERCIAL = frozenset({"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0"})
"""SPDX identifiers of licences that allow commercial use."""


def _one_word(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+([-_.+][a-z0-9]+)*", value):
        raise ValueError(
            f"{value!r} is no word of lower-case letters and digits, which - _ . + may join (imagenet, ig65m, videomae_k400)"
        )
    return value


Word = Annotated[str, AfterValidator(_one_word)]
"""A word of an open list: where it is used, an unknown one is refused with the known ones."""


def _file_name(value: str) -> str:
    if not value or value in (".", "..") or len(value.encode()) > 200 or re.search(r"[/\\\x00-\x1f]", value):
        raise ValueError(f"{value[:100]!r} is no name of a file: expected one of at most 200 bytes, without a folder")
    return value


FileName = Annotated[str, AfterValidator(_file_name)]
"""The name of a file, which is kept under it in a folder of the cache."""


class Hash(Declaration):
    """By what a file's content is known."""

    algorithm: Literal["sha256", "git_blob"] = "sha256"
    """"git_blob": SHA-1 over git's header ("blob", the size) and the content, as git's trees name files."""
    digits: str
    """Hexadecimal: all 64 of a SHA-256 or at least its first 8; all 40 of a git blob."""
    stated_by: str = PUBLISHER

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
        """What the algorithm is called."""
        return "SHA-256" if self.algorithm == "sha256" else "git blob id"

    @property
    def whole(self) -> bool:
        return len(self.digits) == 64 or self.algorithm == "git_blob"

    @property
    def trust(self) -> Trust:
        if not self.whole:
            return "prefix"
        return "verified" if self.stated_by == PUBLISHER and self.algorithm == "sha256" else "checked"


class Part(Declaration):
    """A file that lies beside a source's own and belongs to it: the index of a TensorFlow checkpoint."""

    name: FileName
    hash: Hash | None = None
    size: PositiveInt | None = None


class Source(Declaration):
    """An address of a file of weights."""

    address: str
    """https://..., or hf://org/name@revision/file on the Hugging Face hub (without @revision: its main branch)."""
    by: str
    """Who put it there: the toolkit or person that published it, or that keeps a copy."""
    kind: Literal["publisher", "copy"] = "publisher"
    size: PositiveInt | None = None
    """Bytes; None: not known."""
    layout: Word | None = None
    """How the file names its tensors (`marey.weights.foreign.LAYOUTS`); a file of another layout is refused. None: not
    known."""
    hash: Hash | None = None
    """None: none was published."""
    parts: tuple[Part, ...] = ()
    licence: str = "unknown"
    """An SPDX identifier, or several joined by AND."""
    licence_stated_by: Literal["model card", "repository", "not stated"] = "not stated"
    state: State
    """Where its host is known for a worse one, that of its host: files keep what was true when they were written."""

    @model_validator(mode="before")
    @classmethod
    def _state_of_its_host(cls, values: Any) -> Any:
        if isinstance(values, dict) and "state" not in values and isinstance(values.get("address"), str):
            return values | {"state": state_of(values["address"])}
        return values

    @field_validator("state")
    @classmethod
    def _no_better_than_its_host(cls, value: State, info: ValidationInfo) -> State:
        return worse(value, state_of(info.data.get("address", "")))

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
        if any(part.name == self.file for part in self.parts):
            raise ValueError(f"parts: {self.file} is the file itself, not one beside it")
        return self

    @property
    def file(self) -> str:
        """The file's name."""
        return PurePosixPath(unquote(urlsplit(self.address).path)).name

    @property
    def host(self) -> str:
        return "huggingface.co" if self.address.startswith(HUB) else urlsplit(self.address).hostname or ""

    @property
    def trust(self) -> Trust:
        """That of its least known file."""
        hashes = [self.hash, *(part.hash for part in self.parts)]
        return max(("none" if known is None else known.trust for known in hashes), key=TRUST_ORDER.index)

    @property
    def living(self) -> bool:
        """Whether Marey asks there on its own account: no loss is reported; or the host is back and a hash is known."""
        if self.state.reported == "lost and back":
            return self.trust != "none"
        return self.state.reported == "no loss reported"

    @property
    def commercial(self) -> bool:
        """Whether its licence is known to allow commercial use."""
        return set(self.licence.split(" AND ")) <= _COMMERCIAL

    @property
    def not_automatic(self) -> str | None:
        """Why it is never chosen without being named by the user; None: it may be."""
        if self.state.reported != "no loss reported":
            return f"its host is reported {self.state.reported}"
        if self.trust not in ("verified", "prefix"):
            return "its publisher gave no hash"
        if not self.commercial:
            return f"its licence ({self.licence}) is not known to allow commercial use"
        return None


def asked(sources: Iterable[Source]) -> tuple[Source, ...]:
    """The living sources, best first: no loss before a host that was lost, a known hash before none."""
    return tuple(
        sorted(
            (source for source in sources if source.living),
            key=lambda source: (source.state.reported == "lost and back", TRUST_ORDER.index(source.trust)),
        )
    )


def sources_from(value: Any) -> Any:
    """The sources of a recipe that version 0.1.0 wrote: no weights, or one address with its `url` and `sha256`."""
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
                # One layout serves the VideoResNets of VMZ and torchvision, which 0.1.0 called by either name.
                "layout": "videoresnet" if layout in ("vmz", "torchvision") else layout,
                "hash": {"digits": value.get("sha256")},
                "licence": licence.replace(", the conversion ", " AND "),
                "licence_stated_by": "not stated" if licence == "unknown" else "repository",
            }
        )
    except ValidationError as error:
        # Version 0.1.0 took any text for an address or a hash, and what holds the recipe does not need them.
        warning(f"weights of {value['url']} are left out of the recipe: {': '.join(first_problem(error))}")
        return ()
    return (source,)
