"""A file at an address, as a file that can be sought: read by blocks, or fetched whole where that is less work.

Of a video whose container has its index in one place (MP4, QuickTime), reading some frames takes that index and the data
around these frames. Others are read from end to end to be indexed, and so are fetched whole, once.
"""

import io
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from marey.base.address import Address
from marey.base.errors import DataError
from marey.base.network import offline
from marey.base.reporter import warning_once
from marey.video.reading.decoding import FetchError

if TYPE_CHECKING:
    from marey.video.reading.servers import ServerFile

BLOCK = 128 << 10
"""Bytes of a block (docs/performance/decoding.md)."""
_RUN = (1, 1, 2, 4, 8)
"""Blocks that the requests of a row bring, each going on behind the one before it; later ones as many as the last. What is
read in a row takes few requests, and a jump costs little."""
SMALL = 4 << 20
"""Files of so many bytes at most are fetched in one request: it takes about as long as the first answer."""
_BLOCKS = 64
"""Blocks that are kept of a file: 8 MiB."""
_IN_MEMORY = 32 << 20
"""Bytes of a file fetched whole that are kept in memory; more lie in a temporary file."""
_MOST_WHOLE = 4 << 30
"""Bytes of a file that is fetched whole; a larger one is read by blocks, where its server sends parts of files."""
_UNREAD = frozenset({"memory"})
"""Kinds of addresses that need no network."""


class RemoteFile(io.RawIOBase):
    """A file at an address, for reading. To be used by the process that opened it.

    Reading raises a FetchError as well, once: FFmpeg asks again after an error, and then gets the end of the file. So who
    reads on has to look at `failure`.

    Args:
        small: Files of so many bytes at most are fetched in one request (None: `SMALL`); 0 where little of a file is read.

    Raises:
        FetchError: the server refuses, has no such file, or cannot be reached.
        DataError: the network is not to be used, or what reads such addresses is not installed.
    """

    def __init__(self, address: Address, *, small: int | None = None) -> None:
        self.address, self.name = address, address.name
        self.failure = ""
        """Why the server gave no more, once it did not."""
        self._place = 0
        self._whole: BinaryIO | None = None
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._behind, self._in_a_row = -1, 0
        """The block behind those of the last request, and how many requests went on behind one another."""
        self._server = _server_file(address)
        self.size = 0
        if self._server.size is None:
            self._fetch_in_one_go()
        else:
            self.size = self._server.size
        self._block = self.size if self.size <= (SMALL if small is None else small) else BLOCK

    def fetch_whole(self) -> None:
        """Fetch all of it now, where it is not too large, and close the connection: it is read from end to end."""
        if self._whole is None and self.size <= _MOST_WHOLE:
            self._take(self._server.write_to)

    def _fetch_in_one_go(self) -> None:
        self.size = self._take(self._server.stream_to)
        if not self.size:  # of which fsspec says that it has no parts
            return
        warning_once(
            f"{self.address.server}: sends no parts of files, so that each video is fetched whole (the first, "
            f"{self.address}, has {self.size / 1e6:.3g} MB)"
        )

    def _take(self, written_to: Callable[[BinaryIO, int], None]) -> int:
        """Have all of the file written into a temporary one, and read from that from now on; its bytes."""
        whole = _spool()
        try:
            written_to(whole, _MOST_WHOLE)
        except BaseException:
            whole.close()
            raise
        self._whole = whole
        self._blocks.clear()
        self._server.close()
        return whole.seek(0, io.SEEK_END)

    def ends(self, count: int) -> bytes:
        """The first `count` bytes and the last as many, none of them twice, by one request each."""
        spans = [(0, min(count, self.size)), (max(self.size - count, count), self.size)]
        return b"".join(self._span(begin, end) for begin, end in spans if begin < end)

    def _span(self, begin: int, end: int) -> bytes:
        if self._whole is None:
            from marey.video.reading.servers import NoPartsError

            try:
                return self._server.part(begin, end)
            except NoPartsError:
                self._fetch_in_one_go()
        whole = cast(BinaryIO, self._whole)
        whole.seek(begin)
        return whole.read(end - begin)

    # -- a file

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The place of the next byte that is read."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place; nothing is fetched by that."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: "memoryview | bytearray", /) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes; how many there were."""
        view = memoryview(buffer).cast("B")
        if self.failure:
            return 0
        begin, end = self._place, min(self._place + len(view), self.size)
        try:
            while self._place < end:
                data = self._some(self._place, end)
                view[self._place - begin : self._place - begin + len(data)] = data
                self._place += len(data)
        except FetchError as error:
            self.failure = error.reason
            raise
        return max(0, end - begin)

    def _some(self, begin: int, end: int) -> bytes:
        """Bytes from `begin` on, at least one, and at most up to `end`."""
        if self._whole is None:
            from marey.video.reading.servers import NoPartsError

            try:
                number = begin // self._block
                return self._at(number)[begin - number * self._block : end - number * self._block]
            except NoPartsError:
                self._fetch_in_one_go()
        whole = cast(BinaryIO, self._whole)
        whole.seek(begin)
        return whole.read(end - begin)

    def _at(self, number: int) -> bytes:
        """A block, fetched where it is not kept."""
        if number not in self._blocks:
            self._in_a_row = self._in_a_row + 1 if number == self._behind else 0
            self._behind = number + _RUN[min(self._in_a_row, len(_RUN) - 1)]
            begin = number * self._block
            data = self._server.part(begin, min(self._behind * self._block, self.size))
            for place in range(0, len(data), self._block):
                self._blocks[number + place // self._block] = data[place : place + self._block]
            while len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def close(self) -> None:
        """Let go of the connection, and of what was fetched."""
        if not self.closed:
            self._blocks.clear()
            if self._whole is None:
                self._server.close()
            else:
                self._whole.close()
        super().close()


def check_readable(address: Address) -> None:
    """See before work that what reads such addresses is there and may be used; no server is asked.

    Raises:
        DataError: the network is not to be used, the extra is missing, or nothing reads such addresses.
    """
    if offline() and address.scheme not in _UNREAD:
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


def _spool() -> BinaryIO:
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))
