"""TensorFlow checkpoints (`model.ckpt.index`, `model.ckpt.data-00000-of-00001`), read without TensorFlow.

The index is a LevelDB table (leveldb/doc/table_format.md) from variable names to BundleEntryProto messages
(tensorflow/core/protobuf/tensor_bundle.proto), which hold type, shape, shard, offset, size and checksum of the values.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from marey.base.errors import WeightsError
from marey.weights.files.crc32c import crc32c, masked

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5
"""Bytes behind a block: its kind of compression (0: none) and its checksum."""
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
"""tensorflow.DataType of the variables that are read, as numpy's types."""


@dataclass(frozen=True)
class TensorFlowCheckpoint:
    """The content of a TensorFlow checkpoint."""

    variables: dict[str, Tensor]
    """Variables by their names, with TensorFlow's order of axes."""
    slots: tuple[str, ...]
    """Names of an optimiser's variables, each below the name of a variable (`w/Momentum`); they are not read."""
    notes: tuple[str, ...]
    """Remarks for the load report, on checksums."""


@dataclass(frozen=True)
class _Entry:
    """BundleEntryProto. A field that is absent from the message is 0."""

    dtype: int = 0
    """Number of the type in TensorFlow's DataType."""
    shape: tuple[int, ...] = ()
    """The shape in TensorFlow's order of axes; () for a scalar."""
    shard: int = 0
    """Index of the data file, from 0."""
    offset: int = 0
    """First byte of the values in the data file."""
    size: int = 0
    """Number of bytes of the values."""
    crc: int = 0
    """Masked CRC-32C of these bytes."""
    sliced: bool = False
    """Whether the variable is stored in slices, which are not read."""


def is_tensorflow(path: Path) -> bool:
    """Whether `path` is a TensorFlow checkpoint: its folder, its .index file, or the prefix that both files share."""
    return path.suffix == ".index" or bool(_indices(path))


def read_tensorflow(path: Path) -> TensorFlowCheckpoint:
    """Read all variables, in TensorFlow's order of axes.

    The index must match its own checksum. If only some variables match theirs, the data is damaged and refused; if none
    does, the data was rewritten without its index, and a note says so.

    Raises:
        WeightsError: a file is missing, incomplete or damaged, or of a kind that is not read.
    """
    index = _index_of(path)
    try:
        entries = dict(_table_entries(index.read_bytes()))
        shards = _shards(entries.pop(b"", b""))
        by_name = {name.decode(): _parsed_entry(message) for name, message in entries.items()}
    except (ValueError, IndexError, struct.error, OSError) as error:
        raise WeightsError(
            f"{index}: not a complete TensorFlow index; is it cut short? ({error or type(error).__name__})"
        ) from None
    slots = tuple(name for name in by_name if _below_another(name, by_name))
    for name in slots:
        del by_name[name]
    if not by_name:
        raise WeightsError(f"{index}: names no variables.")
    variables, matching = _read_data(index, shards, by_name)
    return TensorFlowCheckpoint(variables, slots, _notes(index, matching))


def _indices(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob("*.index"))
    prefix = path.with_name(f"{path.name}.index")
    return [prefix] if prefix.is_file() else []


def _index_of(path: Path) -> Path:
    found = [path] if path.suffix == ".index" else _indices(path)
    if len(found) > 1:
        names = ", ".join(index.name for index in found[:3])
        raise WeightsError(f"{path}: {len(found)} TensorFlow checkpoints ({names}): name one of them.")
    if not found or not found[0].is_file():
        raise WeightsError(f"{path}: no such TensorFlow checkpoint.")
    return found[0]


def _below_another(name: str, names: dict[str, _Entry]) -> bool:
    return name.rpartition("/")[0] in names


# The table ------------------------------------------------------------------------------------------------------------


def _table_entries(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of a LevelDB table in order."""
    if len(content) < _FOOTER or struct.unpack("<Q", content[-8:])[0] != _MAGIC:
        raise ValueError("no footer of a table")
    footer = _Cursor(content[-_FOOTER:])
    footer.varint(), footer.varint()  # the metaindex, which TensorFlow leaves empty
    for _, handle in _block_entries(_block(content, footer)):
        yield from _block_entries(_block(content, _Cursor(handle)))


def _block(content: bytes, handle: "_Cursor") -> bytes:
    """The block at a handle (offset, size), with its checksum verified."""
    offset, size = handle.varint(), handle.varint()
    end = offset + size
    if end + _TRAILER > len(content) - _FOOTER:
        raise ValueError("a block beyond the end")
    compression, checksum = struct.unpack("<BI", content[end : end + _TRAILER])
    if masked(crc32c(content[offset : end + 1])) != checksum:
        raise ValueError("a block does not match its checksum")
    if compression:
        raise ValueError(f"compression of kind {compression} is not read")
    return content[offset:end]


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of a block: each key shares a prefix with the one before."""
    (restarts,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise ValueError("a block of restarts only")
    cursor, key = _Cursor(block[:end]), b""
    while not cursor.done:
        shared, unshared, length = cursor.varint(), cursor.varint(), cursor.varint()
        if shared > len(key):
            raise ValueError("a key that shares more than the one before has")
        key = key[:shared] + cursor.take(unshared)
        yield key, cursor.take(length)


class _Cursor:
    """Reads varints and runs of bytes in order, never past the end."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    @property
    def done(self) -> bool:
        return self.at >= len(self.content)

    def varint(self) -> int:
        value = 0
        for shift in range(0, 64, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("a number longer than 64 bits")

    def take(self, length: int) -> bytes:
        taken = self.content[self.at : self.at + length]
        if len(taken) < length:
            raise ValueError("a value beyond its block")
        self.at += length
        return taken


# The messages ---------------------------------------------------------------------------------------------------------


def _message_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a protocol buffer message: numbers for varints and fixed32, bytes for the rest."""
    cursor = _Cursor(message)
    readers: dict[int, Callable[[], int | bytes]] = {
        0: cursor.varint,
        1: lambda: cursor.take(8),
        2: lambda: cursor.take(cursor.varint()),
        5: lambda: int.from_bytes(cursor.take(4), "little"),
    }
    while not cursor.done:
        tag = cursor.varint()
        if tag & 7 not in readers:
            raise ValueError(f"a message with a field of kind {tag & 7}")
        yield tag >> 3, readers[tag & 7]()


def _shards(header: bytes) -> int:
    """The number of data files, from BundleHeaderProto (num_shards = 1, endianness = 2)."""
    fields = dict(_message_fields(header))
    if fields.get(2, 0):
        raise ValueError("big-endian values are not read")
    shards = fields.get(1, 0)
    if not isinstance(shards, int) or not shards:
        raise ValueError("no header")
    return shards


def _parsed_entry(message: bytes) -> _Entry:
    names = {1: "dtype", 3: "shard", 4: "offset", 5: "size", 6: "crc"}
    values: dict[str, int] = {}
    shape: tuple[int, ...] = ()
    sliced = False
    for number, value in _message_fields(message):
        if number in names and isinstance(value, int):
            values[names[number]] = value
        elif number == 2 and isinstance(value, bytes):
            shape = tuple(_dimension(dim) for dim_number, dim in _message_fields(value) if dim_number == 2)
        elif number == 7:
            sliced = True
    return _Entry(shape=shape, sliced=sliced, **values)


def _dimension(message: int | bytes) -> int:
    """The size of a TensorShapeProto.Dim."""
    size = dict(_message_fields(message)).get(1, 0) if isinstance(message, bytes) else None
    if not isinstance(size, int):
        raise ValueError("a shape without sizes")
    return size


# The values -----------------------------------------------------------------------------------------------------------


def _read_data(index: Path, shards: int, entries: dict[str, _Entry]) -> tuple[dict[str, Tensor], dict[str, bool]]:
    """The variables; and, for each with a checksum, whether its values match it."""
    prefix = index.name.removesuffix(".index")
    variables: dict[str, Tensor] = {}
    matching: dict[str, bool] = {}
    for shard in sorted({entry.shard for entry in entries.values()}):
        path = index.with_name(f"{prefix}.data-{shard:05d}-of-{shards:05d}")
        try:
            with path.open("rb") as file:
                for name, entry in entries.items():
                    if entry.shard == shard:
                        raw = _values(file, path, name, entry)
                        variables[name] = _tensor(raw, entry)
                        if entry.crc and len(raw) >= 4:
                            matching[name] = masked(crc32c(raw)) == entry.crc
        except FileNotFoundError:
            raise WeightsError(f"{path}: missing beside {index.name}.") from None
        except OSError as error:
            raise WeightsError(f"{path}: cannot be read ({error}).") from None
    return {name: variables[name] for name in entries}, matching


def _values(file: BinaryIO, path: Path, name: str, entry: _Entry) -> bytes:
    dtype = _TYPES.get(entry.dtype)
    if dtype is None or entry.sliced:
        kind = "in slices" if entry.sliced else f"of TensorFlow's type {entry.dtype}"
        raise WeightsError(f"{path}: {name} is {kind}, which Marey does not read.")
    if entry.size != np.dtype(dtype).itemsize * _value_count(entry.shape):
        raise WeightsError(f"{path}: {name} is {list(entry.shape)} in {entry.size} bytes: the index is damaged.")
    if entry.offset + entry.size > path.stat().st_size:
        raise WeightsError(f"{path}: ends before {name}; is it cut short?")
    file.seek(entry.offset)
    return file.read(entry.size)


def _value_count(shape: tuple[int, ...]) -> int:
    """The number of values, in Python's integers, which do not overflow."""
    count = 1
    for size in shape:
        count *= size
    return count


def _tensor(raw: bytes, entry: _Entry) -> Tensor:
    return torch.from_numpy(np.frombuffer(raw, _TYPES[entry.dtype]).copy()).reshape(entry.shape)


def _notes(index: Path, matching: dict[str, bool]) -> tuple[str, ...]:
    """Notes on the checksums.

    Raises:
        WeightsError: some match and some do not.
    """
    wrong = [name for name, matches in matching.items() if not matches]
    if wrong and len(wrong) < len(matching):
        first = ", ".join(wrong[:3])
        raise WeightsError(f"{index}: the data is damaged: {len(wrong)} variables break their checksums: {first}.")
    if wrong:
        return (f"no variable matches the checksums of {index.name}: the data was rewritten without its index",)
    return ()
