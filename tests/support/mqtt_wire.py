"""MQTT 3.1.1 packets by hand: for a client that misbehaves, and for a proxy that looks into them."""

import socket
import struct
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90
UNSUBSCRIBE, PINGREQ, PINGRESP, DISCONNECT = 0xA2, 0xC0, 0xD0, 0xE0


class Packet(NamedTuple):
    """One packet: its first byte (type and flags) and what follows the length."""

    first: int
    body: bytes

    @property
    def kind(self) -> int:
        """The type, without the flags of a PUBLISH."""
        return self.first & 0xF0

    @property
    def topic(self) -> str:
        """The topic of a PUBLISH."""
        return self.body[2 : 2 + struct.unpack_from("!H", self.body)[0]].decode()

    @property
    def payload(self) -> bytes:
        """The payload of a PUBLISH."""
        start: int = 2 + struct.unpack_from("!H", self.body)[0]
        return self.body[start + (2 if self.first & 0x06 else 0) :]

    @property
    def encoded(self) -> bytes:
        """The bytes on the wire (section 2.2.3: seven bits of the length in each byte)."""
        length, sizes = len(self.body), bytearray()
        while True:
            length, low = divmod(length, 128)
            sizes.append(low | (0x80 if length else 0))
            if not length:
                return bytes([self.first]) + bytes(sizes) + self.body


def text(value: str) -> bytes:
    """Return a string as MQTT writes it: two bytes of length, then UTF-8."""
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def read_packet(connection: socket.socket) -> Packet | None:
    """Return the next packet, or None when the other side closed."""
    first = _read(connection, 1)
    length = shift = 0
    while first:
        size = _read(connection, 1)
        if not size:
            return None
        length |= (size[0] & 0x7F) << shift
        shift += 7
        if not size[0] & 0x80:
            body = _read(connection, length)
            return Packet(first[0], body) if len(body) == length else None
    return None


def _read(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        try:
            part = connection.recv(length - len(data))
        except ConnectionResetError:
            return b""
        if not part:
            return b""
        data += part
    return data


class RawClient:
    """A client that does what it is told, also what a good client would not do."""

    def __init__(
        self,
        url: str,
        client_id: str,
        *,
        keepalive: int = 30,
        will: tuple[str, bytes] | None = None,
        level: int = 4,
    ) -> None:
        """Send CONNECT with a clean session.

        :param keepalive: seconds
        :param will: topic and payload, retained, QoS 1
        :param level: the protocol level: 4 is MQTT 3.1.1, 5 is MQTT 5
        """
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.connection = socket.create_connection((parts.hostname, parts.port), timeout=10)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        flags = 0x02 | (0x2C if will else 0)
        properties = b"\0" if level == 5 else b""
        body = (
            text("MQTT") + bytes([level, flags]) + struct.pack("!H", keepalive) + properties + text(client_id)
        )
        if will:
            body += properties + text(will[0]) + struct.pack("!H", len(will[1])) + will[1]
        self.send(Packet(CONNECT, body))

    def send(self, packet: Packet) -> None:
        """Write one packet in one piece."""
        self.connection.sendall(packet.encoded)

    def read(self) -> Packet | None:
        """Return the next packet, or None when the broker closed the connection."""
        return read_packet(self.connection)

    def subscribe(self, *topics: str) -> None:
        """Send one SUBSCRIBE for all topics, QoS 0."""
        self.send(Packet(SUBSCRIBE, b"\0\1" + b"".join(text(topic) + b"\0" for topic in topics)))

    def unsubscribe(self, *topics: str) -> None:
        """Send one UNSUBSCRIBE for all topics."""
        self.send(Packet(UNSUBSCRIBE, b"\0\2" + b"".join(text(topic) for topic in topics)))

    def close(self) -> None:
        """Close the socket without DISCONNECT, as a device does that lost its power."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
