"""The connection is lost at every packet boundary of an update, before a packet or after it.

A sample by default; `pytest tests/faults/test_boundaries.py --every-boundary` takes all of them (some ten minutes).
"""

import re
from typing import NamedTuple

import pytest

from agent.protocol.limits import CHUNK
from tests.support.mqtt_wire import PUBACK, PUBLISH
from tests.support.proxy import Connection
from tests.support.proxy_faults import at, leaf
from tests.support.waiting import wait_for

SIZE = 5 * CHUNK
PARTS = 2
SAMPLED = 6  # of each part


class Boundary(NamedTuple):
    """Where the connection is cut: the `count`th packet of this kind in this direction."""

    down: bool
    first: int
    leaf: str
    count: int
    after: bool

    def fits(self, crossing):
        return self[:3] == place(crossing)


def place(crossing):
    # Without the flags: whether a broker says "retained" of an offer depends on who was first.
    return crossing.down, crossing.packet.kind, leaf(crossing)


def boundaries(crossings):
    """Every boundary of a good run."""
    counts = {}
    for crossing in crossings:
        where = place(crossing)
        counts[where] = counts.get(where, 0) + 1
        for after in (False, True):
            yield Boundary(*where, counts[where], after)


def settled(network):
    """Whether nothing of the last update is still on its way: all that the device said has been acknowledged."""
    last = [one for one in network.crossed.items if one.connection.number == network.connections]
    said = sum(not one.down and one.packet.kind == PUBLISH and one.packet.first & 6 != 0 for one in last)
    return said == sum(one.down and one.packet.kind == PUBACK for one in last)


@pytest.fixture(params=range(PARTS))
def part(request):
    return request.param


@pytest.mark.timeout(3600)
def test_a_cut_at_a_packet_boundary(kitchen, network, update, part, request):
    def run(boundary=None, faults=()):
        wait_for(lambda: settled(network), what="the device and its broker have said everything")
        network.faults = faults
        mark = network.crossed.mark()
        with update(kitchen, network, SIZE) as running:
            try:
                running.succeeds(faults=len(faults))
            except AssertionError as error:
                raise AssertionError(f"cut at {boundary}") from error
        return network.crossed.items[mark:]

    run()
    found = list(boundaries(run()))
    assert len(found) > 80
    mine = found[part::PARTS]
    step = 1 if request.config.getoption("--every-boundary", False) else len(mine) // SAMPLED
    for boundary in mine[::step]:
        run(boundary, [at(boundary.fits, boundary.count, Connection.cut, after=boundary.after)])
    assert not re.search("MemoryError|Traceback", kitchen.console.output)
