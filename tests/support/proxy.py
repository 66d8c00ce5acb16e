"""A bad network between a device and its broker: it cuts, freezes, loses and doubles, on command.

It stands in front of the true broker, so that nothing of the broker or the device has to be patched.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.support.mqtt_wire import PUBLISH, read_packet

HOST = "127.0.0.1"


def once(topic: str) -> int:
    """Let every message through once."""
    del topic
    return 1


class Proxy:
    """Forwards MQTT packets between clients of `url` and the broker at `target`.

    `copies` is asked for every message on its way from the broker to the client: how often it is to arrive.
    0 loses it, 2 doubles it. It may be replaced at any time.
    """

    def __init__(self, target: str, copies: Callable[[str], int] = once) -> None:
        """Listen on a free port; forward from `start` (or `with`) on."""
        parts = urlsplit(target)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self.copies = copies
        self.connections = 0
        self._open: list[tuple[socket.socket, socket.socket, threading.Event]] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"mqtt://{HOST}:{self.port}"

    def cut(self) -> None:
        """Close every connection, at both ends at once."""
        with self._lock:
            pairs, self._open = self._open, []
        for device, broker, _ in pairs:
            for end in (device, broker):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """Leave every connection half-open: nothing passes any more, and nobody is told. New ones work."""
        with self._lock:
            for _, _, frozen in self._open:
                frozen.set()

    def _accept(self) -> None:
        while True:
            try:
                device, _ = self._listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(self._target, timeout=10)
            except OSError:
                device.close()
                continue
            frozen = threading.Event()
            for end in (device, broker):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self._open.append((device, broker, frozen))
            self._start(self._serve, device, broker, frozen)

    def _start(self, run: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _serve(self, device: socket.socket, broker: socket.socket, frozen: threading.Event) -> None:
        with device, broker:
            up = self._start(self._forward, device, broker, frozen, False)
            self._forward(broker, device, frozen, True)
            up.join()

    def _forward(
        self, source: socket.socket, sink: socket.socket, frozen: threading.Event, down: bool
    ) -> None:
        with suppress(OSError):
            while (packet := read_packet(source)) is not None:
                if frozen.is_set():
                    continue
                looked_at = down and packet.kind == PUBLISH
                for _ in range(self.copies(packet.topic) if looked_at else 1):
                    sink.sendall(packet.encoded)
        if not frozen.is_set():
            with suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)
