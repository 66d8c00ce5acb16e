"""The distance between a twin and its servers: each byte takes half of the round trip time, in both directions.

A connection of the device goes to a port of this process, which passes on what it gets when it is due. Opening one
takes a round trip more, as TCP's handshake does. Order and bandwidth stay what they are, and so does what a
slow reader does to a sender: what is under way is bounded.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Queue
from typing import Self

from .errors import TwinError

_HOST = "127.0.0.1"
_CONNECT_S = 10.0
_PART = 1 << 16
_PARTS_MAX = 64
"""Parts of ``_PART`` bytes at most that are under way in one direction."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes ``close`` a reset: the other end reads an error, not an end."""


class Latency:
    """The network of one twin. A context manager: leaving it closes every connection."""

    def __init__(self, rtt_s: float) -> None:
        """``rtt_s``: the round trip time in seconds; with 0 the device connects directly."""
        self._rtt_s = rtt_s
        self._ports: dict[tuple[str, int], int] = {}
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._over = False

    def port(self, host: str, port: int) -> int:
        """The port of 127.0.0.1 that leads to ``host``; 0 where there is nothing in between.

        Raises TwinError when the system gives no more ports.
        """
        if not self._rtt_s:
            return 0
        place = (host, port)
        if place not in self._ports:
            try:
                listener = socket.create_server((_HOST, 0))
            except OSError as error:
                raise TwinError(f"can't put a round trip before {host}:{port} ({error.strerror})") from error
            self._keep(listener)
            self._ports[place] = listener.getsockname()[1]
            _start(self._accept, listener, place)
        return self._ports[place]

    def _accept(self, listener: socket.socket, place: tuple[str, int]) -> None:
        with suppress(OSError):  # closed: the twin is off
            while True:
                device, _ = listener.accept()
                self._keep(device)
                _start(self._connect, device, place)

    def _connect(self, device: socket.socket, place: tuple[str, int]) -> None:
        opened = time.monotonic() + self._rtt_s
        try:
            server = socket.create_connection(place, timeout=_CONNECT_S)
        except OSError:
            time.sleep(max(opened - time.monotonic(), 0))
            with suppress(OSError):
                device.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._drop(device)
            return
        self._keep(server)
        for end in (device, server):
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ways = [_start(self._pass, *way, opened) for way in ((device, server), (server, device))]
        for way in ways:
            way.join()
        self._drop(device)
        self._drop(server)

    def _pass(self, source: socket.socket, sink: socket.socket, opened: float) -> None:
        """One direction, to its end."""
        under_way: Queue[tuple[float, bytes]] = Queue(_PARTS_MAX)
        writer = _start(_write, under_way, sink)
        data = b"-"
        while data:
            try:
                data = source.recv(_PART)
            except OSError:
                data = b""
            under_way.put((max(time.monotonic(), opened) + self._rtt_s / 2, data))
        writer.join()

    def _keep(self, made: socket.socket) -> None:
        with self._lock:
            if not self._over:
                self._sockets.add(made)
                return
        made.close()  # the twin has been switched off meanwhile

    def _drop(self, used: socket.socket) -> None:
        with self._lock:
            self._sockets.discard(used)
        used.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._over = True
            sockets = list(self._sockets)
        for each in sockets:
            # A shutdown wakes whoever waits in it; a close alone would not.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            self._drop(each)


def _write(under_way: Queue[tuple[float, bytes]], sink: socket.socket) -> None:
    broken = False
    data = b"-"
    while data:
        due, data = under_way.get()
        if broken:
            continue  # the reader must not wait for ever
        time.sleep(max(due - time.monotonic(), 0))
        try:
            if data:
                sink.sendall(data)
            else:
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            broken = True
            with suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)


def _start(run: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=run, args=arguments, daemon=True)
    thread.start()
    return thread
