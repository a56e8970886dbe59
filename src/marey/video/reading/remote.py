"""A file at an address as a seekable file: read in blocks, or fetched entirely where that is less work.

For a video whose container has its index in one place (MP4, QuickTime), reading some frames needs that index and the data
around these frames. Other videos must be read entirely to be indexed, and so are fetched once.
"""

import io
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from marey.base.address import Address, offline
from marey.base.errors import DataError
from marey.base.reporter import warning_once
from marey.video.reading.decoding import FetchError

if TYPE_CHECKING:
    from marey.video.reading.servers import ServerFile

BLOCK = 128 << 10
"""Size of a block in bytes (docs/performance/decoding.md)."""
_RUN = (1, 1, 2, 4, 8)
"""Number of blocks that consecutive requests fetch; later ones fetch as many as the last. Sequential reading takes few
requests, and a jump costs little."""
SMALL = 4 << 20
"""Files of at most so many bytes are fetched in one request, which takes about as long as a first response."""
_BLOCKS = 64
"""Most blocks of a file in memory: 8 MiB."""
_IN_MEMORY = 32 << 20
"""Largest size in bytes of a fetched file in memory; a larger one is written to a temporary file."""
_MOST_FETCHED = 4 << 30
"""Largest size in bytes of a file that is fetched entirely; a larger one is read in blocks if its server sends byte
ranges."""
_LOCAL_SCHEMES = frozenset({"memory"})
"""Schemes of addresses that need no network."""


class RemoteFile(io.RawIOBase):
    """A file at an address, opened for reading, and usable only in the process that opened it.

    Not only opening but also reading may raise a FetchError. It is raised once: FFmpeg reads on after an error, and then
    gets the end of the file. So code that reads through FFmpeg has to check `failure`.

    Args:
        address: The address of the file.
        small: Files of at most so many bytes are fetched in one request; None: `SMALL`. Use 0 if little of the file is read.

    Raises:
        FetchError: the server refuses, has no such file, or cannot be reached.
        DataError: access to the network is forbidden, or the packages for such addresses are not installed.
    """

    def __init__(self, address: Address, *, small: int | None = None) -> None:
        self.address, self.name = address, address.name
        self.failure = ""
        """Why the server stopped sending; "" as long as it sends."""
        self._offset = 0
        self._fetched: BinaryIO | None = None
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next_block, self._in_a_row = -1, 0
        """The block after those of the last request, and the number of consecutive requests."""
        self._server = _server_file(address)
        self.size = 0
        if self._server.size is None:
            self._fetch_in_one_request()
        else:
            self.size = self._server.size
        self._block = self.size if self.size <= (SMALL if small is None else small) else BLOCK

    def fetch_all(self) -> None:
        """Fetch the entire file now, unless it is too large, and close the connection."""
        if self._fetched is None and self.size <= _MOST_FETCHED:
            self._fetch_with(self._server.write_to)

    def _fetch_in_one_request(self) -> None:
        self.size = self._fetch_with(self._server.stream_to)
        if not self.size:  # for an empty file fsspec reports that the server sends no ranges
            return
        warning_once(
            f"{self.address.server}: sends no byte ranges, so that each video is fetched entirely (the first, "
            f"{self.address}, has {self.size / 1e6:.3g} MB)"
        )

    def _fetch_with(self, write_to: Callable[[BinaryIO, int], None]) -> int:
        """Fetch the file into a temporary one, from which it is read from now on; returns its size in bytes."""
        fetched = _temporary_file()
        try:
            write_to(fetched, _MOST_FETCHED)
        except BaseException:
            fetched.close()
            raise
        self._fetched = fetched
        self._blocks.clear()
        self._server.close()
        return fetched.seek(0, io.SEEK_END)

    def ends(self, count: int) -> bytes:
        """The first and the last `count` bytes, without repeated ones, by one request each."""
        spans = [(0, min(count, self.size)), (max(self.size - count, count), self.size)]
        return b"".join(self._read_span(begin, end) for begin, end in spans if begin < end)

    def _read_span(self, begin: int, end: int) -> bytes:
        if self._fetched is None:
            from marey.video.reading.servers import NoRangesError

            try:
                return self._server.byte_range(begin, end)
            except NoRangesError:
                self._fetch_in_one_request()
        fetched = cast(BinaryIO, self._fetched)
        fetched.seek(begin)
        return fetched.read(end - begin)

    # -- interface of io.RawIOBase

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def tell(self) -> int:
        """The offset of the next byte that is read."""
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the offset of the next byte, without fetching anything."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self.size}[whence]
        self._offset = max(0, base + offset)
        return self._offset

    def readinto(self, buffer: "memoryview | bytearray", /) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes; returns their number."""
        view = memoryview(buffer).cast("B")
        if self.failure:
            return 0
        begin, end = self._offset, min(self._offset + len(view), self.size)
        try:
            while self._offset < end:
                data = self._some(self._offset, end)
                view[self._offset - begin : self._offset - begin + len(data)] = data
                self._offset += len(data)
        except FetchError as error:
            self.failure = error.reason
            raise
        return max(0, end - begin)

    def _some(self, begin: int, end: int) -> bytes:
        """Bytes from `begin` on: at least one, and at most up to `end`."""
        if self._fetched is None:
            from marey.video.reading.servers import NoRangesError

            try:
                number = begin // self._block
                return self._read_block(number)[begin - number * self._block : end - number * self._block]
            except NoRangesError:
                self._fetch_in_one_request()
        fetched = cast(BinaryIO, self._fetched)
        fetched.seek(begin)
        return fetched.read(end - begin)

    def _read_block(self, number: int) -> bytes:
        """A block, fetched unless it is in memory."""
        if number not in self._blocks:
            self._in_a_row = self._in_a_row + 1 if number == self._next_block else 0
            self._next_block = number + _RUN[min(self._in_a_row, len(_RUN) - 1)]
            begin = number * self._block
            data = self._server.byte_range(begin, min(self._next_block * self._block, self.size))
            for offset in range(0, len(data), self._block):
                self._blocks[number + offset // self._block] = data[offset : offset + self._block]
            while len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def close(self) -> None:
        """Close the connection and discard the fetched data."""
        if not self.closed:
            self._blocks.clear()
            if self._fetched is None:
                self._server.close()
            else:
                self._fetched.close()
        super().close()


def check_readable(address: Address) -> None:
    """Check that addresses of this kind can be read, before work begins; no server is contacted.

    Raises:
        DataError: access to the network is forbidden, the extra is missing, or the scheme is unknown.
    """
    if offline() and address.scheme not in _LOCAL_SCHEMES:
        raise DataError(f"{address}: lies on a server, and the network is not to be used (--offline, MAREY_OFFLINE).")
    try:
        from marey.video.reading.servers import file_system
    except ImportError as error:
        raise DataError(
            f'{address}: reading addresses needs the extra remote: pip install "marey[remote]" ({error.name} is missing).'
        ) from None
    file_system(address)


def _server_file(address: Address) -> "ServerFile":
    check_readable(address)
    from marey.video.reading.servers import ServerFile

    return ServerFile(address)


def _temporary_file() -> BinaryIO:
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))
