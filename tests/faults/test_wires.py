"""A network that is slow, late, or cuts the stream into other pieces than were sent."""

import pytest

from agent.protocol.limits import CHUNK
from tests.support.mqtt_wire import CONNECT
from tests.support.proxy_wires import Split, late, slow


@pytest.mark.parametrize(
    ("wire", "chunks"),
    [
        pytest.param(slow(2000), 5, id="2 kB a second"),
        pytest.param(late(0.2), 20, id="400 ms round trip"),
        pytest.param(late(0.02, 0.3), 20, id="jitter"),
        pytest.param(Split, 20, id="single bytes"),
        pytest.param(late(0.05, merge=True), 20, id="merged segments"),
    ],
)
def test_an_update_over(make_twin, network, update, wire, chunks):
    network.wire = wire
    with make_twin(broker=network.url) as twin, update(twin, network, chunks * CHUNK) as running:
        running.succeeds(faults=1)
    connects = [crossing for crossing in network.crossed.items if crossing.packet.kind == CONNECT]
    assert len(connects) == 2  # one for each boot: slowness is not taken for a loss
