"""What a line does to the bytes of a proxy: it delays, throttles, splits and merges them."""

import queue
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress


class Wire:
    """One direction of one connection: every packet goes out at once, in one piece."""

    def __init__(self, sink: socket.socket) -> None:
        self.sink = sink

    def send(self, data: bytes) -> None:
        """Pass one packet on. Raises OSError where the sink is gone."""
        self.sink.sendall(data)

    def close(self) -> None:
        """Nothing more will be sent; returns when what was is out."""


class Split(Wire):
    """Every byte is a TCP segment of its own."""

    def send(self, data: bytes) -> None:
        """Pass one packet on, byte by byte; the proxy's sockets do without Nagle's algorithm."""
        for value in data:
            self.sink.sendall(bytes((value,)))


class Slow(Wire):
    """So many bytes a second, in pieces as a modem has them. What waits behind it waits at the sender."""

    def __init__(self, sink: socket.socket, rate: int, piece: int = 64) -> None:
        """Make a line of `rate` bytes a second."""
        super().__init__(sink)
        self._rate = rate
        self._piece = piece
        self._free = time.monotonic()

    def send(self, data: bytes) -> None:
        """Pass one packet on; returns when its last piece has gone out."""
        for start in range(0, len(data), self._piece):
            piece = data[start : start + self._piece]
            now = time.monotonic()
            self._free = max(self._free, now) + len(piece) / self._rate
            time.sleep(self._free - now)
            self.sink.sendall(piece)


class Late(Wire):
    """Every packet arrives `delay` seconds after it was sent, plus up to `jitter`; the order stays, as in TCP.

    With `merge`, all that has gathered while the first of them was on its way arrives in one piece.
    """

    def __init__(
        self, sink: socket.socket, delay: float, jitter: float = 0.0, *, merge: bool = False
    ) -> None:
        super().__init__(sink)
        self._delay = delay
        self._jitter = jitter
        self._merge = merge
        self._dice = random.Random(1)
        self._waiting: queue.Queue[tuple[float, bytes] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._deliver, daemon=True)
        self._thread.start()

    def send(self, data: bytes) -> None:
        """Put one packet on its way."""
        self._waiting.put((time.monotonic() + self._delay + self._jitter * self._dice.random(), data))

    def close(self) -> None:
        """Wait until everything has arrived."""
        self._waiting.put(None)
        self._thread.join()

    def _deliver(self) -> None:
        ended = False
        while not ended and (item := self._waiting.get()) is not None:
            due, data = item
            time.sleep(max(0.0, due - time.monotonic()))
            while self._merge and not self._waiting.empty():
                more = self._waiting.get()
                if more is None:
                    ended = True
                    break
                data += more[1]
            with suppress(OSError):
                self.sink.sendall(data)


def slow(rate: int) -> Callable[[socket.socket], Wire]:
    """Lines of `rate` bytes a second, for a Proxy."""
    return lambda sink: Slow(sink, rate)


def late(delay: float, jitter: float = 0.0, *, merge: bool = False) -> Callable[[socket.socket], Wire]:
    """Lines with a delay of their own, for a Proxy."""
    return lambda sink: Late(sink, delay, jitter, merge=merge)
