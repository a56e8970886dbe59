"""Recognise files that are no checkpoint or in a format that is not read: web pages, Git LFS pointers, archives."""

import html
import re
import zipfile
from pathlib import Path

from marey.base.errors import WeightsError

HEAD = 1024
"""Bytes at the beginning of a file from which `foreign_body` recognises it."""
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGE = re.compile(r"<(!doctype html|html|head)\b|<[?!].*<html\b", re.IGNORECASE | re.DOTALL)
"""A web page, also one that begins with <?xml or a comment."""
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_JSON = re.compile(r"""\{\s*["}]|\[\s*[{"\]]""")
_LONGEST = 100
"""Characters of a page's title or of an error that are shown."""


def foreign_body(first_bytes: bytes, *, content_type: str = "") -> str | None:
    """The content of a file that is no checkpoint, in a few words; None if it may be a checkpoint.

    Args:
        first_bytes: The file's first `HEAD` bytes, or all of a shorter one.
        content_type: The server's Content-Type. Alone it proves nothing: some servers call every unknown file a web page.
    """
    if not first_bytes:
        return "an empty file"
    if b"\0" in first_bytes:
        return None  # Not a text. A .safetensors file begins with a length, whose first byte may be that of "<" or "{".
    text = first_bytes.decode("utf-8", "replace").removeprefix("\ufeff").lstrip()
    readable = "\ufffd" not in text[:-4]  # The last character may be cut.
    if first_bytes.startswith(_POINTER):
        size = re.search(r"^size (\d+)$", text, re.MULTILINE)
        return f"a Git LFS pointer{f' to a file of {size[1]} bytes' if size else ''} (git lfs pull fetches that file)"
    called_page = readable and "text/html" in content_type.lower()
    if called_page or _PAGE.match(text):
        title = _TITLE.search(text)
        return "a web page" + (_in_brackets(title[1]) if title else "")
    if readable and text.startswith("<"):
        return "an XML answer" + _in_brackets(error_in(first_bytes))
    return "a JSON answer" + _in_brackets(text) if readable and _JSON.match(text) else None


def error_in(body: bytes) -> str:
    """The message in a storage service's XML error: "NoSuchBucket: The specified bucket does not exist"; else ""."""
    text = body.decode("utf-8", "replace")
    found = (re.search(f"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message"))
    return ": ".join(" ".join(html.unescape(match[1]).split()) for match in found if match)


def _in_brackets(text: str) -> str:
    text = " ".join(html.unescape(text).split())
    return f" ({text if len(text) <= _LONGEST else text[:_LONGEST] + '...'})" if text else ""


def no_checkpoint(path: Path) -> str | None:
    """The content of a file that is no checkpoint, as a sentence without a full stop; None if it may be a checkpoint."""
    with path.open("rb") as file:
        what = foreign_body(file.read(HEAD))
    return None if what is None else f"{what} where a checkpoint was expected"


def check_body(path: Path) -> None:
    """Refuse a file that is no checkpoint.

    Raises:
        WeightsError: a web page, a Git LFS pointer, ...; the message names it.
    """
    if what := no_checkpoint(path):
        raise WeightsError(f"{path}: {what}. Fetch the file itself.")


def first_line_of_text(path: Path) -> str:
    """The first line of a text file in UTF-8, shortened; empty for any other file."""
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
    (0, b"RIFF", "a video or image, not a checkpoint: the model comes first, then the videos"),
    (0, b"\x1aE\xdf\xa3", "a video, not a checkpoint: the model comes first, then the videos"),
    (0, b"\x89PNG", "an image, not a checkpoint"),
    (0, b"\xff\xd8\xff", "an image, not a checkpoint"),
    (0, b"%PDF", "a PDF file, not a checkpoint"),
)
"""(offset, bytes at this offset, description of such a file)."""
_ENDINGS = {
    ".onnx": "an ONNX model, which Marey does not read: name the checkpoint of PyTorch that it was made from",
    ".pb": "a graph of TensorFlow, which Marey does not read: name its checkpoint (FILE.index and FILE.data-...)",
    ".pdparams": "weights of PaddlePaddle, which Marey does not read: name a checkpoint of PyTorch",
    ".mar": "an archive of TorchServe: unpack it (unzip FILE), and name the checkpoint in it",
}
"""Descriptions of formats that are recognised by the ending of the file name, for lack of typical bytes."""


def other_format(path: Path) -> str | None:
    """The other format of a file and what to do, as a sentence without a full stop; None if it may be torch's format."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    safe, ending = path.suffix == ".safetensors", path.suffix.lower()
    table_size = int.from_bytes(head[:8], "little")  # The length of a .safetensors file's table, which is JSON.
    known = (
        (path.name.endswith(".index.json"), f"the index of a checkpoint {_IN_PARTS}"),
        (re.search(r"-\d{5}-of-\d{5}$", path.stem), f"one of the files of a checkpoint {_IN_PARTS}"),
        (ending in (".yaml", ".yml"), "a recipe or settings, not a checkpoint: name the weights"),
        (safe and head.startswith((b"PK\x03\x04", b"\x80")), "a file of torch.save: give it the ending .pth"),
        (
            not safe and head[8:9] == b"{" and table_size < path.stat().st_size,
            "safetensors: give it the ending .safetensors",
        ),
        *((head[offset : offset + len(mark)] == mark, what) for offset, mark, what in _FORMATS),
        (ending in _ENDINGS, _ENDINGS.get(ending, "")),
    )
    found = next((what.replace("FILE", str(path)) for matches, what in known if matches), None)
    return _in_archive(path) if found is None and head.startswith(b"PK\x03\x04") else found


def _in_archive(path: Path) -> str | None:
    """The kind of a zip archive that torch.save did not write; None if it did, or if its table cannot be read."""
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
