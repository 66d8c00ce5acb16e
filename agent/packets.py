"""MQTT 3.1.1 packets: what the agent writes, and a reader that never blocks and never believes a length.

Section numbers are those of the OASIS standard "MQTT Version 3.1.1". umqtt.simple makes the connection (CONNECT, TLS,
login, last will); from there it would block inside `wait_msg` and allocate whatever length a packet announces, so
the agent reads and writes its own packets over the same socket.
"""

from .protocol.limits import CHUNK, TOPIC_MAX

PUBLISH = 0x30
PUBACK = 0x40
SUBACK = 0x90
UNSUBACK = 0xB0
PINGRESP = 0xD0

PINGREQ = b"\xc0\x00"

# The largest packet the agent has a use for: a PUBLISH with a full topic, a packet id and one chunk.
_HEAD_MAX = 2 + TOPIC_MAX + 2
PACKET_MAX = _HEAD_MAX + CHUNK

# With PUBLISH, all that a broker sends after CONNACK to who publishes with QoS 0 and 1 (table 2.1).
_SHORT = (PUBACK, SUBACK, UNSUBACK, PINGRESP)


def _head(kind, length):
    """Fixed header, section 2.2: kind and flags, then the remaining length, 7 bits a byte."""
    out = bytearray((kind,))
    while True:
        low = length & 0x7F
        length >>= 7
        out.append(low | (0x80 if length else 0))
        if not length:
            return out


def _text(text):
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def publish(topic, payload, pid=0, retain=False):
    """PUBLISH, section 3.3: QoS 1 when `pid` is given, else QoS 0."""
    if isinstance(payload, str):
        payload = payload.encode()
    head = _text(topic)
    if pid:
        head += pid.to_bytes(2, "big")
    kind = PUBLISH | (2 if pid else 0) | (1 if retain else 0)
    return _head(kind, len(head) + len(payload)) + head + payload


def subscribe(filters, pid, qos):
    """SUBSCRIBE, section 3.8: one packet for all `filters`."""
    body = bytearray(pid.to_bytes(2, "big"))
    # It grows in its place; bytes would be copied for each filter.
    for text in filters:
        body += _text(text)
        body.append(qos)
    return _head(0x82, len(body)) + body


def unsubscribe(filters, pid):
    """UNSUBSCRIBE, section 3.10."""
    body = bytearray(pid.to_bytes(2, "big"))
    for text in filters:
        body += _text(text)
    return _head(0xA2, len(body)) + body


def puback(pid):
    """PUBACK, section 3.4."""
    return b"\x40\x02" + pid.to_bytes(2, "big")


class Reader:
    """Takes packets from a non-blocking stream into `buffer`, a bytearray of PACKET_MAX bytes.

    `read()` returns None while a packet is incomplete, else (kind, length): the packet's first byte and its remaining
    length. It takes at most PACKET_MAX bytes at once, so that no flood keeps the caller from its other work. A
    PUBLISH larger than the buffer is read to its end too, so that it costs its bytes and not the connection.
    Raises OSError at the end of the stream and where it can only have lost its way: for a kind that no broker sends,
    a remaining length of more than four bytes (section 2.2.3), or a long one of what is always short.
    """

    def __init__(self, stream, buffer):
        self.buffer = buffer
        self.fresh = False  # whether the last read() took any byte: a sign of life
        self._view = memoryview(buffer)
        self._stream = stream
        self._byte = bytearray(1)
        self._restart()

    def _restart(self):
        self._kind = 0
        self._shift = 0  # of the next length byte; -1 once the length is known
        self._length = 0
        self._have = 0

    def _take(self, view):
        got = self._stream.readinto(view)
        if got is None:
            return 0
        if got == 0:
            raise OSError(104)  # ECONNRESET: the broker closed the connection
        self.fresh = True
        return got

    def _begun(self):
        """Whether kind and length are known."""
        while self._shift >= 0:
            if not self._take(self._byte):
                return False
            value = self._byte[0]
            if not self._kind:
                if value & 0xF0 != PUBLISH and value not in _SHORT:
                    raise OSError(71)  # EPROTO
                self._kind = value
                continue
            self._length |= (value & 0x7F) << self._shift
            self._shift = self._shift + 7 if value & 0x80 else -1
            if self._shift > 21 or (self._length > PACKET_MAX and self._kind & 0xF0 != PUBLISH):
                raise OSError(71)
        return True

    def read(self):
        self.fresh = False
        if not self._begun():
            return None
        room = PACKET_MAX
        while self._have < self._length:
            if not room:
                return None
            # What is beyond the buffer goes where the payload was: the head is still needed.
            start = self._have if self._have < PACKET_MAX else _HEAD_MAX
            end = min(start + min(room, self._length - self._have), PACKET_MAX)
            got = self._take(self._view[start:end])
            if not got:
                return None
            room -= got
            self._have += got
        packet = self._kind, self._length
        self._restart()
        return packet

    def message(self, kind, length):
        """(topic, payload, pid) of the PUBLISH just read; the payload is a view that the next read() overwrites.

        A topic longer than any of ours comes as "", a payload that did not fit the buffer as None.
        Raises OSError(EPROTO) where the packet contradicts itself, ValueError for a topic that is no UTF-8.
        """
        qos = (kind >> 1) & 3
        start = 2 + (self.buffer[0] << 8 | self.buffer[1]) if length >= 2 else PACKET_MAX
        body = start + (2 if qos else 0)
        fits = length <= PACKET_MAX
        if qos > 1 or body > length or (qos and body > _HEAD_MAX and not fits):
            raise OSError(71)
        topic = str(self._view[2:start], "utf-8") if start <= 2 + TOPIC_MAX else ""
        pid = int.from_bytes(self._view[start:body], "big") if qos else 0
        return topic, self._view[body:length] if fits else None, pid
