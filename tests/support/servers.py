"""Servers on this machine that tests read from: HTTP, and the part of S3 that reading takes. Both count, and can fail."""

import contextlib
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """What a server has, how it behaves, and what it was asked for."""

    files: dict[str, bytes]
    """By path: "/a.mp4", of S3 "/bucket/a.mp4"."""
    address: str = ""
    ranges: bool = True
    """Whether it sends parts of files; it says so where it does not and `honest`."""
    honest: bool = True
    length: bool = True
    """Whether it says how long a file is."""
    head: bool = True
    """Whether HEAD is allowed."""
    refused: tuple[str, ...] = ()
    """Beginnings of paths that are answered by 403."""
    status: int = 0
    """Every request is answered by it."""
    break_off: int = 0
    """So many answers with a body end in the middle."""
    password: str = ""
    """The Authorization that is asked for."""
    sent: int = 0
    """Bytes of bodies."""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path with query, and range."""

    def count(self, method: str = "GET") -> int:
        """How often it was asked in this way."""
        return sum(asked[0] == method for asked in self.requests)

    def forget(self) -> None:
        """Count anew."""
        self.sent = 0
        self.requests.clear()


def _span(asked: str, size: int) -> tuple[int, int]:
    first, _, last = asked.removeprefix("bytes=").partition("-")
    return int(first), min(int(last or size - 1), size - 1) + 1


def _handler(server: Server, *, s3: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            asked = self.headers.get("Range", "")
            server.requests.append((self.command, self.path, asked))
            path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
            if s3 and path.count("/") == 1 and not server.status:
                self._listing(path)
                return
            data = server.files.get(path, b"")
            part = _span(asked, len(data)) if asked and server.ranges else None
            if refusal := self._refusal(path, part, len(data)):
                self._error(*refusal)
                return
            headers = {"ETag": '"1"', "Content-Type": "video/mp4"}
            if part is not None:
                headers["Content-Range"] = f"bytes {part[0]}-{part[1] - 1}/{len(data)}"
                data = data[slice(*part)]
            if server.honest:
                headers["Accept-Ranges"] = "bytes" if server.ranges else "none"
            headers |= {"Content-Length": str(len(data))} if server.length else {"Connection": "close"}
            self._head(200 if part is None else 206, headers)
            if with_body:
                self._body(data)

        def _refusal(self, path: str, part: tuple[int, int] | None, size: int) -> tuple[int, str] | None:
            refused = path.startswith(server.refused or ("no path",)) or (not server.head and self.command == "HEAD")
            wrong = (
                (server.status, "InternalError", bool(server.status)),
                (401, "Unauthorized", bool(server.password) and self.headers.get("Authorization") != server.password),
                (403, "AccessDenied", refused),
                (404, "NoSuchKey", path not in server.files),
                (416, "InvalidRange", part is not None and part[0] >= size),
            )
            return next(((status, code) for status, code, is_so in wrong if is_so), None)

        def _body(self, data: bytes) -> None:
            broken = server.break_off > 0
            if broken:
                server.break_off -= 1
                data = data[: len(data) // 2]
            with contextlib.suppress(OSError):  # the client has enough
                for begin in range(0, len(data), 1 << 16):
                    self.wfile.write(data[begin : begin + (1 << 16)])
                    server.sent += len(data[begin : begin + (1 << 16)])
            if broken or not server.length:
                self.close_connection = True

        def _listing(self, path: str) -> None:
            prefix = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query)).get("prefix", "")
            inside = "".join(
                f"<Contents><Key>{name.removeprefix(path + '/')}</Key><Size>{len(data)}</Size>"
                "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
                for name, data in server.files.items()
                if name.startswith(f"{path}/{prefix}")
            )
            text = (
                f"<ListBucketResult><KeyCount>{inside.count('<Key>')}</KeyCount><IsTruncated>false</IsTruncated>{inside}"
                "</ListBucketResult>"
            )
            self._head(200, {"Content-Length": str(len(text)), "Content-Type": "application/xml"})
            self.wfile.write(text.encode())

        def _error(self, status: int, code: str) -> None:
            text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
            self._head(status, {"Content-Length": str(len(text)), "Content-Type": "application/xml"})
            if self.command != "HEAD":
                self.wfile.write(text)

        def _head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    return Handler


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


@contextlib.contextmanager
def serving(files: dict[str, bytes], *, s3: bool = False) -> Iterator[Server]:
    """A server of these files on a free port of 127.0.0.1, for as long as the block lasts."""
    server = Server(dict(files))
    listening = _Quiet(("127.0.0.1", 0), _handler(server, s3=s3))
    listening.daemon_threads = True
    server.address = f"http://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
