"""What a file holds in place of weights: a web page, a server's error, a Git LFS pointer, nothing, other weights."""

import html
import re
import zipfile
from pathlib import Path

from marey.base.errors import WeightsError
from marey.recipe.source import Hash
from marey.weights.fetching.store import digest

HEAD = 1024
"""Bytes at the beginning of a file by which `foreign_body` knows it."""
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGE = re.compile(r"<(!doctype html|html|head)\b|<[?!].*<html\b", re.IGNORECASE | re.DOTALL)
"""A web page, also one that begins with <?xml or a comment."""
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_JSON = re.compile(r"""\{\s*["}]|\[\s*[{"\]]""")
_LONGEST = 100
"""Characters of a page's title or of an error that are shown."""


def foreign_body(first_bytes: bytes, *, content_type: str = "") -> str | None:
    """What is in a file that is no checkpoint of any kind, in a few words; None where it may be one.

    Args:
        first_bytes: The file's first `HEAD` bytes, or all of a shorter one.
        content_type: What a server calls it. Alone it proves nothing: some call every unknown file a web page.
    """
    if not first_bytes:
        return "an empty file"
    if b"\0" in first_bytes:
        return None  # No text: a .safetensors file may begin with the length "<" or "{".
    text = first_bytes.decode("utf-8", "replace").removeprefix("\ufeff").lstrip()
    readable = "\ufffd" not in text[:-4]  # The last character may be cut.
    if first_bytes.startswith(_POINTER):
        size = re.search(r"^size (\d+)$", text, re.MULTILINE)
        return f"a Git LFS pointer{f' to a file of {size[1]} bytes' if size else ''} (git lfs pull fetches that file)"
    called_page = readable and "text/html" in content_type.lower()
    if called_page or _PAGE.match(text):
        title = _TITLE.search(text)
        return "a web page" + (_shown(title[1]) if title else "")
    if readable and text.startswith("<"):
        return "an XML answer" + _shown(error_in(first_bytes))
    return "a JSON answer" + _shown(text) if readable and _JSON.match(text) else None


def error_in(body: bytes) -> str:
    """What a storage service says in the XML of its error: "NoSuchBucket: The specified bucket does not exist"; else ""."""
    text = body.decode("utf-8", "replace")
    found = (re.search(f"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message"))
    return ": ".join(" ".join(html.unescape(part[1]).split()) for part in found if part)


def _shown(text: str) -> str:
    text = " ".join(html.unescape(text).split())
    return f" ({text if len(text) <= _LONGEST else text[:_LONGEST] + '...'})" if text else ""


def no_checkpoint(path: Path) -> str | None:
    """What a file holds that is no checkpoint of any kind, as a sentence without a full stop; None where it may be one."""
    with path.open("rb") as file:
        what = foreign_body(file.read(HEAD))
    return None if what is None else f"{what} where a checkpoint was expected"


def check_body(path: Path) -> None:
    """Refuse a file that is no checkpoint of any kind.

    Raises:
        WeightsError: a web page, a Git LFS pointer, ...: names it.
    """
    if what := no_checkpoint(path):
        raise WeightsError(f"{path}: {what}. Fetch the file itself.")


def first_line_of_text(path: Path) -> str:
    """How a file of text in UTF-8 begins, shortened; empty where it is none."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    text = head.decode("utf-8", "replace")
    readable = "\ufffd" not in text[:-4] and all(sign.isprintable() or sign.isspace() for sign in text)
    line = next(iter(text.removeprefix("\ufeff").split("\n")), "").strip()
    return (line if len(line) <= _LONGEST else f"{line[:_LONGEST]}...") if readable else ""


_UNPACK = "unpack it, and name the checkpoint in it"
_IN_PARTS = "in several files, which Marey does not read: save it as one file"
_FORMATS: tuple[tuple[int, bytes, str], ...] = (
    (257, b"ustar", f"a tar archive: {_UNPACK} (tar -xf FILE)"),
    (0, b"\x1f\x8b", f"compressed by gzip: {_UNPACK} (gunzip FILE, or tar -xzf FILE)"),
    (0, b"BZh", f"compressed by bzip2: {_UNPACK} (bunzip2 FILE)"),
    (0, b"\xfd7zXZ\x00", f"compressed by xz: {_UNPACK} (unxz FILE)"),
    (0, b"\x28\xb5\x2f\xfd", f"compressed by Zstandard: {_UNPACK} (unzstd FILE)"),
    (0, b"7z\xbc\xaf\x27\x1c", f"a 7-Zip archive: {_UNPACK}"),
    (0, b"Rar!", f"a RAR archive: {_UNPACK}"),
    (
        0,
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 file, as Keras writes it, which Marey does not read: name a checkpoint of PyTorch",
    ),
    (4, b"TFL3", "a TensorFlow Lite model, which Marey does not read: name the checkpoint that it was made from"),
    (0, b"GGUF", "a GGUF file, which Marey does not read: name the checkpoint that it was made from"),
    (0, b"\x93NUMPY", "one array of NumPy, not a checkpoint"),
    (4, b"ftyp", "a video, not a checkpoint: the model comes first, then the videos"),
    (0, b"RIFF", "a video or picture, not a checkpoint: the model comes first, then the videos"),
    (0, b"\x1aE\xdf\xa3", "a video, not a checkpoint: the model comes first, then the videos"),
    (0, b"\x89PNG", "a picture, not a checkpoint"),
    (0, b"\xff\xd8\xff", "a picture, not a checkpoint"),
    (0, b"%PDF", "a PDF file, not a checkpoint"),
)
"""(offset, bytes there, what such a file is)."""
_ENDINGS = {
    ".onnx": "an ONNX model, which Marey does not read: name the checkpoint of PyTorch that it was made from",
    ".pb": "a graph of TensorFlow, which Marey does not read: name its checkpoint (FILE.index and FILE.data-...)",
    ".pdparams": "weights of PaddlePaddle, which Marey does not read: name a checkpoint of PyTorch",
    ".mar": "an archive of TorchServe: unpack it (unzip FILE), and name the checkpoint in it",
}
"""Formats without bytes to know them by."""


def other_format(path: Path) -> str | None:
    """Of which other format a file is, and what to do, as a sentence without a full stop; None where it may be torch's."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    safe, ending = path.suffix == ".safetensors", path.suffix.lower()
    promised = int.from_bytes(head[:8], "little")  # The length of a .safetensors file's table, which is JSON.
    known = (
        (path.name.endswith(".index.json"), f"the index of a checkpoint {_IN_PARTS}"),
        (re.search(r"-\d{5}-of-\d{5}$", path.stem), f"one of the files of a checkpoint {_IN_PARTS}"),
        (ending in (".yaml", ".yml"), "a recipe or settings, not a checkpoint: name the weights"),
        (safe and head.startswith((b"PK\x03\x04", b"\x80")), "a file of torch.save: give it the ending .pth"),
        (
            not safe and head[8:9] == b"{" and promised < path.stat().st_size,
            "safetensors: give it the ending .safetensors",
        ),
        *((head[offset : offset + len(mark)] == mark, what) for offset, mark, what in _FORMATS),
        (ending in _ENDINGS, _ENDINGS.get(ending, "")),
    )
    found = next((what.replace("FILE", str(path)) for matches, what in known if matches), None)
    return _in_archive(path) if found is None and head.startswith(b"PK\x03\x04") else found


def _in_archive(path: Path) -> str | None:
    """What a zip archive is that torch.save did not write; None where it did, or where its table cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    inside = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inside:
        return (
            f"a TorchScript archive: save its weights alone, torch.save(torch.jit.load({str(path)!r}).state_dict(), "
            "'weights.pth'), and name that file"
        )
    if "data.pkl" in inside:
        return None
    if names and all(name.endswith(".npy") for name in names):
        return "arrays of NumPy (.npz), not a checkpoint"
    if "archive_format" in inside or any(name.startswith("models/") for name in inside):
        return (
            "an exported program (torch.export), which Marey does not read: name the checkpoint that it was made from"
        )
    return f"a zip archive that torch.save did not write: {_UNPACK} (unzip {path}); it has {', '.join(names[:3])}"


def hash_name(known: Hash) -> str:
    """What a hash is, for a person."""
    return "SHA-256" if known.algorithm == "sha256" else "git blob id"


def other_hash(found: str, known: Hash) -> str:
    """That a file has another hash: both, and who states the expected one.

    Args:
        found: All its digits by the algorithm of `known`.
        known: The expected hash.
    """
    begins = found[: 8 if known.whole else len(known.digits)]
    return f"its {hash_name(known)} begins {begins}, expected {known.digits} by {known.stated_by}"


def mismatch(path: Path, known: Hash | None, size: int | None) -> str | None:
    """In what a file is not the one that was expected; None where it is.

    Args:
        path: The file.
        known: Its hash, which decides where there is one.
        size: Its bytes, which decide where there is no hash; None: not known.
    """
    if known is not None:
        found = digest(path, known)
        return None if found.startswith(known.digits) else other_hash(found, known)
    there = path.stat().st_size
    return None if size in (None, there) else f"it has {there} bytes, expected {size}"


def difference(path: Path, known: Hash | None, size: int | None) -> str | None:
    """As `mismatch`, of a checkpoint: what is none at all is named first."""
    return no_checkpoint(path) or mismatch(path, known, size)
