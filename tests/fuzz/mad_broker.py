"""A broker that keeps the forms of MQTT, so that a device stays with it, and says whatever a test wants."""

import json
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.support.inbox import Inbox
from tests.support.mqtt_wire import (
    CONNACK,
    CONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Packet,
    read_packet,
    text,
)  # fmt: skip

HOST = "127.0.0.1"
UNSUBACK = 0xB0


class Said(NamedTuple):
    """A message of the device."""

    topic: str
    payload: bytes

    @property
    def json(self) -> Any:
        """The payload read as JSON."""
        return json.loads(self.payload)


class MadBroker:
    """Serves one client at a time on `url` and acknowledges all that it sends; the rest is up to the test.

    `said` keeps its messages, `subscribed` the filters that it asked for.
    """

    def __init__(self) -> None:
        self.said: Inbox[Said] = Inbox("messages of the device")
        self.subscribed: Inbox[str] = Inbox("filters of the device")
        self._acknowledged: Inbox[int] = Inbox("packets that the device took")
        self._pid = 0
        self._client: socket.socket | None = None
        self._listener = socket.create_server((HOST, 0))
        self.url = f"mqtt://{HOST}:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def say(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        """Send the client a message, whether it has subscribed to it or not."""
        pid = b""
        if qos:
            self._pid = self._pid % 65535 + 1
            pid = struct.pack("!H", self._pid)
        first = PUBLISH | qos << 1 | retain
        assert self._client is not None
        self._client.sendall(Packet(first, text(topic) + pid + payload).encoded)

    def digested(self, timeout: float = 20) -> None:
        """Wait until the device has taken all that was said."""
        mark = self._acknowledged.mark()
        self.say("digested", b"?", qos=1)
        pid = self._pid
        self._acknowledged.expect(lambda taken: taken == pid, timeout, mark)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client = client
            with client, suppress(OSError):
                while (packet := read_packet(client)) is not None:
                    self._answer(client, packet)

    def _answer(self, client: socket.socket, packet: Packet) -> None:
        pid = packet.body[:2]
        if packet.kind == CONNECT:
            client.sendall(Packet(CONNACK, b"\0\0").encoded)
        elif packet.first == SUBSCRIBE:
            client.sendall(Packet(SUBACK, pid + b"\0").encoded)
            size = struct.unpack_from("!H", packet.body, 2)[0]
            self.subscribed.add(packet.body[4 : 4 + size].decode())
        elif packet.first == UNSUBSCRIBE:
            client.sendall(Packet(UNSUBACK, pid).encoded)
        elif packet.kind == PUBLISH:
            if packet.first & 2:
                at = 2 + struct.unpack_from("!H", packet.body)[0]
                client.sendall(Packet(PUBACK, packet.body[at : at + 2]).encoded)
            self.said.add(Said(packet.topic, packet.payload))
        elif packet.kind == PUBACK:
            self._acknowledged.add(struct.unpack("!H", pid)[0])
        elif packet.kind == PINGREQ:
            client.sendall(Packet(PINGRESP, b"").encoded)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._client is not None:
            with suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
