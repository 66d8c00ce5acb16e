"""A broker that dies, forgets everything, or does not want to be talked to."""

import threading

import pytest

from agent.protocol.limits import CHUNK
from tests.support.broker import Mosquitto
from tests.support.mqtt_wire import CONNACK, Packet
from tests.support.proxy import Connection
from tests.support.proxy_faults import ack, at, chunk
from tests.support.waiting import wait_for

SIZE = 40 * CHUNK
NOT_AUTHORIZED = Packet(CONNACK, b"\0\5")


@pytest.fixture
def broker(tmp_path):
    """A mosquitto without persistence: once it is killed it has forgotten everything."""
    with Mosquitto(tmp_path / "mosquitto", "\npersistence false\n") as running:
        yield running


def tenth_chunk(act):
    return at(chunk, 10, act)


def test_a_broker_that_is_killed_and_has_forgotten_everything(kitchen, network, update, broker):
    for moment in (ack("offered"), chunk, ack("verifying"), ack("testing")):
        killed = threading.Event()

        def kill(_, killed=killed):
            broker.kill()
            killed.set()

        network.faults = [at(moment, 1, kill)]
        with update(kitchen, network, SIZE) as running:
            assert killed.wait(60)
            broker.start()
            running.succeeds(faults=1)


def test_a_new_image_whose_offer_nobody_remembers_is_kept_when_its_own_state_comes_back(
    kitchen, network, update, broker, watch
):
    killed = threading.Event()

    def kill(_):
        broker.kill()
        killed.set()

    network.faults = [at(ack("rebooting"), 1, kill)]
    with update(kitchen, network, SIZE) as running:
        assert killed.wait(60)
        running.publisher.kill()
    broker.start()
    state = watch(kitchen.topic("state")).expect(kitchen.topic("state"), 40, phase="confirmed").json
    assert state["running"] == "ota_1"


def test_a_broker_that_refuses_the_login_for_a_while(kitchen, network, update):
    refusals = iter(range(3))

    def refuse(crossing):
        if crossing.packet.kind == CONNACK and next(refusals, None) is not None:
            yield NOT_AUTHORIZED
            crossing.connection.cut()
        else:
            yield crossing.packet

    network.faults = [tenth_chunk(Connection.cut), refuse]
    with update(kitchen, network, SIZE) as running:
        running.succeeds(faults=1)
    assert next(refusals, None) is None


def test_a_broker_that_nobody_listens_for_for_a_while(kitchen, network, update):
    closed_s = 4  # the fault itself: long enough for the device to knock twice
    network.faults = [tenth_chunk(lambda _: network.refuse())]
    with update(kitchen, network, SIZE) as running:
        running.publisher.expect("offline", 60)
        threading.Timer(closed_s, network.start).start()
        running.succeeds(faults=1)


def test_an_address_behind_which_the_broker_is_gone_for_a_while(kitchen, network, update, broker):
    network.faults = [tenth_chunk(lambda _: broker.kill())]
    with update(kitchen, network, SIZE) as running:
        wait_for(lambda: network.turned_away > 1, 60, "the device has come twice in vain")
        broker.start()
        running.succeeds(faults=1)
