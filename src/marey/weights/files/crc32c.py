"""CRC-32C (Castagnoli), the checksum of TensorFlow's files, in numpy: 50 MB in about half a second.

The data is divided into 1024 equal pieces ("lanes"), whose checksums are computed at once, byte by byte, by the usual table.
Checksums of neighbouring pieces are then joined: crc(a + b) = moved(crc(a), len(b)) xor crc(b), where moved(register, n) is
the register after n zero bytes, a linear map on its 32 bits.
"""

import numpy as np
from numpy.typing import NDArray

_LANES = 1024
_BITS = np.arange(32, dtype=np.uint32)
_ALL = 0xFFFFFFFF

Words = NDArray[np.uint32]


def _byte_table() -> Words:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = (values >> np.uint32(1)) ^ np.where(values & 1, np.uint32(0x82F63B78), np.uint32(0))
    return values


_TABLE = _byte_table()


def crc32c(data: bytes) -> int:
    """The checksum of at least four bytes.

    Raises:
        ValueError: fewer bytes.
    """
    if len(data) < 4:
        raise ValueError(f"a checksum of {len(data)} bytes is not needed anywhere")
    # Zeros in front leave the register at 0; starting with all ones is the same as inverting the first 32 bits.
    padded = np.zeros(-(-len(data) // _LANES) * _LANES, np.uint8)
    padded[-len(data) :] = np.frombuffer(data, np.uint8)
    padded[len(padded) - len(data) :][:4] ^= 0xFF
    lanes = padded.reshape(_LANES, -1)
    registers = np.zeros(_LANES, np.uint32)
    for column in np.ascontiguousarray(lanes.T):
        registers = _TABLE[(registers ^ column) & 0xFF] ^ (registers >> np.uint32(8))
    move = _moves(lanes.shape[1])
    while len(registers) > 1:
        registers = _moved(registers[0::2], move) ^ registers[1::2]
        move = _moved(move, move)
    return int(registers[0]) ^ _ALL


def masked(crc: int) -> int:
    """The checksum as LevelDB and TensorFlow store it: masked, so that data with checksums in it can be checksummed."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & _ALL


def _moves(length: int) -> Words:
    """For each of the 32 bits, the register after `length` zero bytes if it had only this bit before."""
    bits = np.left_shift(np.uint32(1), _BITS)
    power = _TABLE[bits & 0xFF] ^ (bits >> np.uint32(8))
    while length:
        if length & 1:
            bits = _moved(bits, power)
        power = _moved(power, power)
        length >>= 1
    return bits


def _moved(registers: Words, move: Words) -> Words:
    """Each register after the move: the exclusive or of the registers that its bits become."""
    bits = (registers[:, None] >> _BITS) & 1
    words: Words = np.bitwise_xor.reduce(np.where(bits, move, np.uint32(0)), axis=1)
    return words
