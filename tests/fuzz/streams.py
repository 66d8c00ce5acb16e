"""Streams from a broker gone mad, and what a device must make of each: the rules of MQTT 3.1.1, written down anew."""

import random
import struct
from binascii import crc32
from collections.abc import Callable

from tests.support.mqtt_wire import CONNECT, PUBACK, PUBLISH, SUBACK, UNSUBSCRIBE, Packet, text

TOPIC_MAX = 256
BUFFER = 2 + TOPIC_MAX + 2 + 4096
"""What a device holds of one packet."""
UNSUBACK, PINGRESP = 0xB0, 0xD0
SHORT = {PUBACK, SUBACK, UNSUBACK, PINGRESP}
OPEN, BROKEN = 0, 1

_TOPICS = (
    "fleet/devices/kitchen/desired",
    "fleet/devices/kitchen/state",
    "fleet/devices/kitchen/chunk/0123456789abcdef/4096",
    "fleet/devices/kitchen/chunk/0123456789abcdef/index/0",
    "fleet/images/demo/0123456789abcdef/0",
    "fleet/devices/other/desired",
    "grüße/日本",
    "t",
    "",
    "t" * 256,
    "t" * 257,
    "t" * 5000,
)
_SIZES = (0, 1, 5, 60, 127, 128, 500, 3000, 4096, 4097, 4300, 20_000)
_LENGTHS = (
    b"\xff\xff\xff\x7f",  # 268,435,455, the largest of all
    b"\xff\xff\xff\xff\x01",  # one byte too many (section 2.2.3)
    b"\x80\x80\x80\x80",
    b"\x80\x80\x00",
    b"\x00",
    b"\x01",
    b"\x7f",
    b"\xff\x7f",
)
_NOISE = random.Random(0).randbytes(65_536)


def _noise(dice: random.Random, size: int) -> bytes:
    start = dice.randrange(len(_NOISE) - size)
    return _NOISE[start : start + size]


def _publish(dice: random.Random) -> bytes:
    qos = dice.choice((0, 0, 0, 1, 1, 2, 3) if dice.random() < 0.2 else (0, 1))
    first = PUBLISH | dice.getrandbits(1) | qos << 1 | dice.getrandbits(1) << 3
    weights = (4, 4, 8, 4, 2, 1, 1, 2, 1, 1, 1, 0.2)
    topic = dice.choices(_TOPICS, weights)[0]
    pid = struct.pack("!H", dice.choice((0, 1, 65535, 513))) if qos else b""
    size = dice.choices(_SIZES, (3, 6, 9, 9, 6, 6, 6, 3, 3, 1, 1, 0.3))[0]
    return Packet(first, text(topic) + pid + _noise(dice, size)).encoded


def _other(dice: random.Random) -> bytes:
    first = dice.choice((PUBACK, PUBACK, SUBACK, UNSUBACK, PINGRESP))
    return Packet(first, _noise(dice, {PUBACK: 2, SUBACK: 3, UNSUBACK: 2, PINGRESP: 0}[first])).encoded


def _of_the_wrong_direction(dice: random.Random) -> bytes:
    return Packet(
        dice.choice((CONNECT, 0x20, 0x50, 0x62, 0x70, 0x82, UNSUBSCRIBE, 0xC0, 0xE0, 0xF0, 0)), b"\0\1"
    ).encoded


def _flip(dice: random.Random, data: bytearray) -> None:
    # The heads of packets are where it matters, and most of them stand near the beginning.
    at = dice.randrange(min(len(data), dice.choice((4, 40, 70_000))))
    data[at] ^= 1 << dice.randrange(8)


def _overwrite(dice: random.Random, data: bytearray) -> None:
    at = dice.randrange(min(len(data), dice.choice((4, 40, 70_000))))
    data[at] = dice.choice((0, 1, 0x7F, 0x80, 0xC0, 0xF8, 0xFF, dice.randrange(256)))


def _cut(dice: random.Random, data: bytearray) -> None:
    at = dice.randrange(len(data))
    del data[at : at + dice.choice((1, 2, 10, 100_000))]


def _insert(dice: random.Random, data: bytearray) -> None:
    at = dice.randrange(len(data) + 1)
    data[at:at] = _noise(dice, dice.choice((1, 2, 10, 300)))


def _repeat(dice: random.Random, data: bytearray) -> None:
    at = dice.randrange(len(data))
    data[at:at] = data[at : at + dice.choice((1, 4, 50, 5000))]


def _lie_of_length(dice: random.Random, data: bytearray) -> None:
    data[1:2] = dice.choice(_LENGTHS)


def _lie_of_topic(dice: random.Random, data: bytearray) -> None:
    data[2:4] = struct.pack("!H", dice.choice((0, 1, 255, 256, 257, 4095, 65535, dice.randrange(65536))))


_MUTATIONS: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip, _overwrite, _cut, _insert, _repeat, _lie_of_length, _lie_of_topic,
)  # fmt: skip


def stream(dice: random.Random) -> bytes:
    """A few packets one behind the other, most often spoiled."""
    data = bytearray()
    for _ in range(dice.randint(1, 4)):
        make = dice.choices((_publish, _other, _of_the_wrong_direction), (8, 2, 0.3))[0]
        packet = bytearray(make(dice))
        for _ in range(dice.choice((0, 0, 0, 1, 1, 2))):
            if packet:
                dice.choice(_MUTATIONS)(dice, packet)
        data += packet
    return bytes(data)


class Expected:
    """What a device must make of a stream: `verdict`, and a CRC-32 over the messages and what it answers."""

    def __init__(self, data: bytes) -> None:
        self._messages = 0
        self._answers = 0
        self.verdict = BROKEN
        at: int | None = 0
        while at is not None and at < len(data):
            at = self._packet(data, at)
        if at is not None:
            self.verdict = OPEN
        self.crc = crc32(struct.pack("<I", self._answers), self._messages)

    def _packet(self, data: bytes, at: int) -> int | None:
        """Return where the next packet begins, the end where this one does not; None when the stream is broken."""
        first = data[at]
        if first & 0xF0 != PUBLISH and first not in SHORT:
            return None
        length, shift = 0, 0
        while True:
            at += 1
            if at == len(data):
                return at
            length |= (data[at] & 0x7F) << shift
            if length > BUFFER and first in SHORT:
                return None
            if not data[at] & 0x80:
                break
            shift += 7
            if shift > 21:
                return None
        at += 1
        if at + length > len(data):
            return len(data)
        if first not in SHORT and not self._message(first, data[at : at + length]):
            return None
        return at + length

    def _message(self, first: int, body: bytes) -> bool:
        """Take one PUBLISH; whether it is one at all."""
        qos = first >> 1 & 3
        if qos > 1 or len(body) < 2:
            return False
        end = 2 + struct.unpack_from("!H", body)[0]
        start = end + 2 * qos
        topic, payload = body[2:end], body[start:]
        if start > len(body) or (len(topic) <= TOPIC_MAX and not _is_text(topic)):
            return False
        held = len(body) <= BUFFER
        if qos:
            if not held and start > BUFFER - 4096:
                return False  # its id was not kept, so it could never be acknowledged
            if body[end:start] != b"\0\0":
                self._answers = crc32(b"\x40\x02" + body[end:start], self._answers)
        if held and payload and 0 < len(topic) <= TOPIC_MAX:
            self._messages = crc32(payload, crc32(topic, self._messages))
        return True


def _is_text(data: bytes) -> bool:
    """Whether MicroPython takes it for UTF-8: it counts the bytes of each character and looks no further."""
    need = 0
    for byte in data:
        if need:
            if byte & 0xC0 != 0x80:
                return False
            need -= 1
        elif byte >= 0xF8 or 0x80 <= byte < 0xC0:
            return False
        elif byte >= 0xC0:
            need = 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3
    return need == 0
