"""A connection that falls silent without an end is noticed in every phase, and the update goes on over a new one."""

from contextlib import ExitStack

from agent.protocol.limits import CHUNK
from tests.support.mqtt_wire import CONNACK
from tests.support.proxy import Connection, Proxy
from tests.support.proxy_faults import ack, at, chunk, index_page, leaf


def offer(crossing):
    return crossing.down and leaf(crossing) == "desired"


def kind(first):
    return lambda crossing: crossing.packet.kind == first


SILENT_FROM = {
    "offer": at(offer, 1, Connection.freeze),
    "index": at(index_page, 1, Connection.freeze),
    "chunks": at(chunk, 7, Connection.freeze),
    "verifying": at(ack("verifying"), 1, Connection.freeze),
    "rebooting": at(ack("rebooting"), 1, Connection.freeze),
    "connack-of-trial": at(kind(CONNACK), 2, Connection.freeze),
    "trial": at(offer, 2, Connection.freeze),
    "connack": at(kind(CONNACK), 1, Connection.freeze),
}
"""The first packet that does not arrive. Each is a device of its own: they wait out their silences together."""


def test_silence_from(broker, make_twin, update):
    with ExitStack() as stack:
        running = {}
        for name, fault in SILENT_FROM.items():
            network = stack.enter_context(Proxy(broker.url, [fault]))
            twin = stack.enter_context(make_twin(device=name, broker=network.url))
            running[name] = update(twin, network, 20 * CHUNK, "--timeout", "90")
        for one in running.values():
            stack.enter_context(one)
        for one in running.values():
            one.succeeds(faults=1)
