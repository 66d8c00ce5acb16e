"""Requests of the child and their answers, over a socket. The child's half is chip/_chip.py."""

from __future__ import annotations

import struct
from contextlib import suppress

from .child import Child
from .errors import EspError
from .flash import Flash
from .loop import Loop
from .services import Answer, Request, Services

_HEAD = struct.Struct("<BIIII")
_ANSWER = struct.Struct("<BiI")
_NUMBER, _BYTES, _ERROR = range(3)


class Control:
    """The line between one child and the services."""

    def __init__(self, loop: Loop, child: Child, services: Services, flash: Flash, *, timing: bool) -> None:
        """With ``timing`` an answer waits for as long as the chip's flash would have taken."""
        self._loop = loop
        self._child = child
        self._services = services
        self._flash = flash
        self._timing = timing
        self._received = bytearray()
        self.is_busy = False
        """Whether the child waits for an answer."""

    def receive(self) -> bool:
        """Take what the child has sent and answer it. False when it has closed its end.

        What the services raise, but for EspError, is raised here.
        """
        try:
            data = self._child.requests.recv(1 << 17)
        except ConnectionError:
            return False
        if not data:
            return False
        self.is_busy = True
        self._received += data
        if len(self._received) >= _HEAD.size:
            number, a, b, c, size = _HEAD.unpack_from(self._received)
            if len(self._received) >= _HEAD.size + size:
                request = Request(a, b, c, bytes(self._received[_HEAD.size : _HEAD.size + size]))
                del self._received[: _HEAD.size + size]
                self._serve(number, request)
        return True

    def _serve(self, number: int, request: Request) -> None:
        before = self._flash.spent
        answer: Answer
        try:
            answer = self._services.answer(number, request)
            kind = _NUMBER if isinstance(answer, int) else _BYTES
            value, data = (answer, b"") if isinstance(answer, int) else (0, answer)
        except EspError as error:
            kind, value, data = _ERROR, error.code, error.name.encode()
        message = _ANSWER.pack(kind, value, len(data)) + data
        spent = self._flash.spent - before
        if self._timing and spent:
            self._loop.after(spent, lambda: self._send(message))
        else:
            self._send(message)

    def _send(self, message: bytes) -> None:
        self.is_busy = False
        with suppress(OSError):  # the child has just died, which the loop hears of on its own
            self._child.requests.sendall(message)
