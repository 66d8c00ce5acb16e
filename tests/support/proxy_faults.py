"""What may happen to packets in a Proxy: each of these makes a Fault, and they compose.

A `which` chooses the crossings that a fault is for: `chunk`, `index_page`, or any function of a Crossing.
"""

import random
from collections.abc import Callable, Iterator

from tests.support.mqtt_wire import PUBLISH, Packet
from tests.support.proxy import Connection, Crossing, Fault

Which = Callable[[Crossing], object]


def leaf(crossing: Crossing) -> str:
    """What a PUBLISH is about: "desired", "chunk", "index", "want", "state", "ack", "online"; "" for other packets."""
    if crossing.packet.kind != PUBLISH:
        return ""
    topic = crossing.packet.topic
    if "/chunk/" in topic or "/images/" in topic:
        return "index" if "/index/" in topic else "chunk"
    return topic.rpartition("/")[2]


def chunk(crossing: Crossing) -> bool:
    """Whether it is a chunk on its way to the device."""
    return crossing.down and leaf(crossing) == "chunk"


def index_page(crossing: Crossing) -> bool:
    """Whether it is an index page on its way to the device."""
    return crossing.down and leaf(crossing) == "index"


def ack(phase: str) -> Which:
    """The acks of this phase on their way to the host."""
    said = f'"phase":"{phase}"'.encode()
    return lambda crossing: leaf(crossing) == "ack" and said in crossing.packet.payload.replace(b" ", b"")


def copies(which: Which, count: Callable[[], int]) -> Fault:
    """Such packets arrive `count()` times: 0 loses one, 2 doubles it."""

    def fault(crossing: Crossing) -> Iterator[Packet]:
        for _ in range(count() if which(crossing) else 1):
            yield crossing.packet

    return fault


def withheld(which: Which, times: int) -> Fault:
    """The first `times` of such packets never arrive."""
    left = iter(range(times))
    return copies(which, lambda: 1 if next(left, None) is None else 0)


def reordered(which: Which, dice: random.Random, chance: float) -> Fault:
    """Now and then such a packet is held back until another such packet has passed it."""
    held: list[Packet] = []

    def fault(crossing: Crossing) -> Iterator[Packet]:
        if which(crossing) and not held and dice.random() < chance:
            held.append(crossing.packet)
            return
        yield crossing.packet
        if which(crossing) and held:
            yield held.pop()

    return fault


def corrupted(which: Which, when: Callable[[], object]) -> Fault:
    """One bit in the middle of the payload of such packets is flipped, whenever `when()` says so."""

    def fault(crossing: Crossing) -> Iterator[Packet]:
        packet = crossing.packet
        if which(crossing) and when():
            body = bytearray(packet.body)
            body[len(body) - len(packet.payload) // 2 - 1] ^= 0x10
            packet = Packet(packet.first, bytes(body))
        yield packet

    return fault


def at(which: Which, number: int, act: Callable[[Connection], None], *, after: bool = False) -> Fault:
    """Do `act` to the connection once, when packet `number` (from 1) of such comes: it is lost, or goes before."""
    left = iter(range(number - 1))
    done: list[Packet] = []

    def fault(crossing: Crossing) -> Iterator[Packet]:
        if done or not which(crossing) or next(left, None) is not None:
            yield crossing.packet
            return
        done.append(crossing.packet)
        if after:
            yield crossing.packet
        act(crossing.connection)

    return fault


def every(which: Which, number: int, act: Callable[[Connection], None]) -> Fault:
    """Do `act` to the connection each time that so many of such packets have come, and lose the last of them."""
    count = 0

    def fault(crossing: Crossing) -> Iterator[Packet]:
        nonlocal count
        count += bool(which(crossing))
        if which(crossing) and count % number == 0:
            act(crossing.connection)
        else:
            yield crossing.packet

    return fault
