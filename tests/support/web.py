"""A real web server with Range requests, that can be made to misbehave in every way the agent has to survive."""

import http.server
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

HOST = "localhost"


@dataclass(slots=True)
class Answer:
    """What the server is about to say to one request; a fault changes it."""

    status: int
    headers: dict[str, str]
    body: bytes
    version: str = "HTTP/1.1"
    close: bool = False
    """Close the connection when it has been said."""
    raw: bytes | None = None
    """Said instead of all that."""
    pieces: Callable[[bytes], Iterable[bytes]] = field(default=lambda data: [data])
    """Cuts what is sent; the server stops for a moment after each piece."""
    silent: bool = False
    """Say nothing until the server ends."""

    def encoded(self) -> bytes:
        """The bytes of the whole response."""
        if self.raw is not None:
            return self.raw
        lines = [
            f"{self.version} {self.status} Whatever",
            *(f"{name}: {text}" for name, text in self.headers.items()),
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


Fault = Callable[[Answer], object]
PAUSE_S = 0.02


def change(**fields: object) -> Fault:
    """Return the fault that sets these fields of every answer."""

    def fault(answer: Answer) -> None:
        for name, value in fields.items():
            setattr(answer, name, value)

    return fault


class WebServer:
    """Serves `files`, bytes by path. `fault` may be replaced at any time; it changes every answer."""

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        tls: ssl.SSLContext | None = None,
        fault: Fault | None = None,
    ) -> None:
        """Listen on a free port; answer from `start` (or `with`) on, with HTTPS where `tls` is given."""
        self.files = dict(files)
        self.fault = fault
        self.tls = tls
        self.requests: list[tuple[str, str]] = []
        """Path and Range of every request."""
        self.connections = 0
        self._ended = threading.Event()
        self._server = _Server((HOST, 0), self)
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://{HOST}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def answer(self, path: str, wanted: str) -> Answer:
        """What a good server says to a request for the range `wanted` of a file, changed by the fault."""
        self.requests.append((path, wanted))
        data = self.files.get(path)
        if data is None:
            answer = Answer(404, {"Content-Length": "9"}, b"not found")
        elif not wanted:
            answer = Answer(200, {"Content-Length": str(len(data))}, data)
        else:
            first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
            body = data[first : last + 1]
            headers = {
                "Server": "test",
                "Content-Type": "application/octet-stream",
                "Content-Length": str(len(body)),
                "Content-Range": f"bytes {first}-{first + len(body) - 1}/{len(data)}",
            }
            answer = Answer(206, headers, body)
        if self.fault is not None:
            self.fault(answer)
        return answer

    def say(self, answer: Answer, write: Callable[[bytes], object]) -> None:
        """Send an answer as it wants to be sent."""
        if answer.silent:
            self._ended.wait()
            return
        pieces = list(answer.pieces(answer.encoded()))
        for piece in pieces[:-1]:
            write(piece)
            self._ended.wait(PAUSE_S)
        write(pieces[-1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], web: WebServer) -> None:
        self.web = web
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up, or does not like our certificate, is what the tests are about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.server.web.connections += 1
        if self.server.web.tls is not None:
            self.request = self.server.web.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        # With TLS the server knows another object of the socket, and would leave this one open.
        self.request.close()

    def do_GET(self) -> None:
        answer = self.server.web.answer(self.path, self.headers.get("Range", ""))
        self.server.web.say(answer, self.wfile.write)
        self.close_connection = answer.close or answer.silent

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep quiet: what was asked is in `requests`."""
