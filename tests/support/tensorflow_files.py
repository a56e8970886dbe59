"""Small TensorFlow checkpoints, written as TensorFlow writes them: an index with checksums, and data."""

import struct
from collections.abc import Mapping
from pathlib import Path

import torch

from marey.weights.files.crc32c import crc32c, masked


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A block whose keys share their beginnings, with its trailer."""
    out, before = b"", b""
    for key, value in entries:
        shared = 0
        while shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    out += struct.pack("<II", 0, 1) + b"\0"
    return out + struct.pack("<I", masked(crc32c(out)))


def table(entries: list[tuple[bytes, bytes]], *, per_block: int = 7) -> bytes:
    out, handles = b"", []
    for start in range(0, len(entries), per_block):
        part = block(entries[start : start + per_block])
        handles.append((entries[start][0], varint(len(out)) + varint(len(part) - 5)))
        out += part
    ends = b""
    for part in (block([]), block(handles)):
        ends += varint(len(out)) + varint(len(part) - 5)
        out += part
    return out + ends.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def write(folder: Path, variables: Mapping[str, torch.Tensor], *, checksums: bool = True, dtype: int = 1) -> Path:
    folder.mkdir()
    data, entries = b"", [(b"", field(1, 1) + field(3, field(1, 1)))]
    for name in sorted(variables):
        raw = variables[name].contiguous().numpy().tobytes()
        shape = b"".join(field(2, field(1, size)) for size in variables[name].shape)
        message = field(1, dtype) + field(2, shape) + field(4, len(data)) + field(5, len(raw))
        if checksums:
            message += varint(6 << 3 | 5) + struct.pack("<I", masked(crc32c(raw)))
        entries.append((name.encode(), message))
        data += raw
    (folder / "model.ckpt.index").write_bytes(table(entries))
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(data)
    return folder
