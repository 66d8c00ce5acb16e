"""A bad network between a device and its broker: it cuts, freezes, spoils and delays, on command.

It stands in front of the true broker, so that nothing of the broker or the device has to be patched. What happens to
packets is in proxy_faults, what happens to bytes in proxy_wires.
"""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from tests.support.inbox import Inbox
from tests.support.mqtt_wire import Packet, read_packet
from tests.support.proxy_wires import Wire

HOST = "127.0.0.1"


class Connection:
    """One client's way to the broker and back. `number` counts the proxy's connections from 1."""

    def __init__(self, number: int, device: socket.socket, broker: socket.socket) -> None:
        self.number = number
        self.ends = (device, broker)
        self.frozen = threading.Event()

    def cut(self) -> None:
        """Close it, at both ends at once."""
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """Leave it half-open: nothing passes any more, and nobody is told."""
        self.frozen.set()


class Crossing(NamedTuple):
    """One packet on its way: `down` is from the broker to the client."""

    connection: Connection
    down: bool
    packet: Packet


Fault = Callable[[Crossing], Iterable[Packet]]
"""What arrives in place of a packet. A generator is resumed when what it has yielded is on its way."""


class Proxy:
    """Forwards MQTT packets between clients of `url` and the broker at `target`.

    Every packet passes all of `faults`, in their order, and then a wire made by `wire`; both may be replaced at any
    time, the wire for later connections. `crossed` keeps what was sent on either side, before any fault.
    """

    def __init__(self, target: str, faults: Sequence[Fault] = (), wire: Callable[..., Wire] = Wire) -> None:
        """Listen on a free port; forward from `start` (or `with`) on."""
        parts = urlsplit(target)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self.faults = faults
        self.wire = wire
        self.crossed: Inbox[Crossing] = Inbox("packets through the proxy")
        self.connections = 0
        self.turned_away = 0
        """How many came while there was no broker."""
        self._open: list[Connection] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"mqtt://{HOST}:{self.port}"

    def cut(self) -> None:
        """Close every connection, at both ends at once."""
        with self._lock:
            connections, self._open = self._open, []
        for connection in connections:
            connection.cut()

    def freeze(self) -> None:
        """Leave every connection half-open. New ones work."""
        with self._lock:
            for connection in self._open:
                connection.freeze()

    def refuse(self) -> None:
        """Close the listener and every connection: who comes is told that nobody listens, until `start`."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def start(self) -> None:
        """Accept connections, on the same port as before."""
        if self._listener.fileno() < 0:
            self._listener = socket.create_server((HOST, self.port))
        self._run(self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                device, _ = listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(self._target, timeout=10)
            except OSError:
                device.close()
                self.turned_away += 1
                continue
            for end in (device, broker):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                connection = Connection(self.connections, device, broker)
                self._open.append(connection)
            self._run(self._serve, connection)

    def _run(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _serve(self, connection: Connection) -> None:
        device, broker = connection.ends
        with device, broker:
            up = self._run(self._forward, connection, device, broker, False)
            self._forward(connection, broker, device, True)
            up.join()

    def _forward(
        self, connection: Connection, source: socket.socket, sink: socket.socket, down: bool
    ) -> None:
        wire = self.wire(sink)
        with suppress(OSError):
            while (packet := read_packet(source)) is not None:
                crossing = Crossing(connection, down, packet)
                self.crossed.add(crossing)
                for passed in through(self.faults, crossing):
                    if not connection.frozen.is_set():
                        wire.send(passed.encoded)
        wire.close()
        if not connection.frozen.is_set():
            with suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        for thread in self._threads:
            thread.join(10)


def through(faults: Sequence[Fault], crossing: Crossing) -> Iterator[Packet]:
    """What is left of a packet behind all faults."""
    if not faults:
        yield crossing.packet
        return
    for packet in faults[0](crossing):
        yield from through(faults[1:], crossing._replace(packet=packet))
