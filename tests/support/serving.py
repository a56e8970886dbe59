"""A server on this machine that answers as servers do on bad days. Each answer is a function; the last one repeats."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    def __init__(self, answers: list[Answer], tls: ssl.SSLContext | None = None) -> None:
        self.answers, self.asked, self.methods = answers, [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with outer.lock:
                    answer = outer.answers[min(len(outer.asked), len(outer.answers) - 1)]
                    outer.asked.append((self.path, dict(self.headers)))
                    outer.methods.append(self.command)
                # The other side hangs up when it has had enough.
                with contextlib.suppress(ConnectionError):
                    answer(self)
                self.close_connection = True

            do_HEAD = do_CONNECT = do_GET  # noqa: N815, as http.server names them

            def log_message(self, *_: object) -> None:
                pass

        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_port}"

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.asked]


@contextlib.contextmanager
def serving(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(list(answers), tls)
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        server.server.server_close()
        thread.join()


def whole(content: bytes, *, mark: str = '"one"', only: int | None = None, length: int | None = None,
          stall: threading.Event | None = None, ranges: bool = True, if_range: bool = True) -> Answer:  # fmt: skip
    """Send `content`: `only` so many bytes of it, then hang up, or wait for `stall`; `length` is what it claims."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        start = 0
        asked = request.headers.get("Range")
        known = request.headers.get("If-Range")
        if asked and ranges and (known in (None, mark) or not if_range):
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if start >= len(content):
                request.send_error(416)
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{length or len(content)}")
        else:
            request.send_response(200)
        request.send_header("Content-Length", str((length or len(content)) - start))
        request.send_header("ETag", mark)
        request.end_headers()
        if request.command == "HEAD":
            return
        request.wfile.write(content[start:] if only is None else content[start : start + only])
        request.wfile.flush()
        if stall is not None:
            stall.wait(10)

    return answer


def says(status: int, body: bytes = b"", **headers: str) -> Answer:
    """`body` comes with GET alone; its length is what it is or what `headers` claim."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(b"" if request.command == "HEAD" else body)

    return answer


def by_path(answers: dict[str, Answer]) -> Answer:
    """A server with several addresses (without their queries), and 404 for all others."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        answers.get(request.path.partition("?")[0], says(404))(request)

    return answer


def chunked(content: bytes, *, only: int | None = None) -> Answer:
    """Without saying how much comes."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.protocol_version = "HTTP/1.1"
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        sent = content if only is None else content[:only]
        request.wfile.write(f"{len(content):x}\r\n".encode() + sent)
        if only is None:
            request.wfile.write(b"\r\n0\r\n\r\n")

    return answer
