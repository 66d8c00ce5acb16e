"""Offers that are stale, and offers that are withdrawn, in every phase."""

import json

import pytest

from agent.protocol.host.offers import encode_withdrawal
from agent.protocol.limits import CHUNK
from tests.support.proxy_faults import ack, at, chunk, corrupted, leaf

SIZE = 40 * CHUNK
LARGE = 300 * CHUNK  # to be verified takes long enough for a message to come in between


@pytest.fixture
def seen(watch, kitchen):
    """Sees and says what is on kitchen's topics."""
    return watch(kitchen.topic("state"), kitchen.topic("desired"))


def desired(crossing):
    return crossing.down and leaf(crossing) == "desired"


def withdrawal(seen, topic, n):
    """What withdraws offer `n`, on the broker and thereby on its way."""
    return lambda _: seen.publish(topic, encode_withdrawal(n, "withdrawn"), retain=True)


def test_a_stale_offer_changes_nothing(kitchen, network, update, seen):
    with update(kitchen, network, SIZE) as first:
        first.succeeds(faults=0)
    stale = next(one.packet.payload for one in network.crossed.items if desired(one))
    assert json.loads(stale)["n"] == 1
    network.faults = [at(chunk, 10, lambda _: seen.publish(kitchen.topic("desired"), stale))]
    with update(kitchen, network, SIZE) as second:
        second.succeeds(faults=1)


def test_a_broker_that_remembers_an_older_offer_gets_nothing_done_until_it_has_the_right_one(
    kitchen, network, update, seen
):
    topic = kitchen.topic("desired")
    with update(kitchen, network, SIZE) as first:
        first.succeeds(faults=0)
    stale = seen.expect(topic, n=1).payload
    lost = []

    def remember(connection):
        seen.publish(topic, stale, retain=True)
        lost.append(connection)
        connection.cut()

    def on_the_next_connection(crossing):
        return lost and crossing.connection.number > lost[0].number and desired(crossing)

    network.faults = [at(chunk, 10, remember)]
    with update(kitchen, network, SIZE) as second:
        right = seen.expect(topic, 30, n=2).payload
        network.crossed.expect(on_the_next_connection, 30)
        seen.publish(topic, right, retain=True)
        second.succeeds(faults=1)


def test_a_withdrawal_in_time(kitchen, network, update, seen):
    otadata = kitchen.counts("otadata")
    for n, phase in enumerate(("offered", "downloading", "stalled", "verifying"), 1):
        network.faults = [at(ack(phase), 1, withdrawal(seen, kitchen.topic("desired"), n), after=True)]
        if phase == "stalled":
            network.faults.append(corrupted(chunk, lambda: True))
        with update(kitchen, network, LARGE if phase == "verifying" else SIZE):
            state = seen.expect(kitchen.topic("state"), 60, n=n, phase="cancelled", reason="withdrawn").json
        said = phase + (":no_answer" if phase == "stalled" else "")
        assert (state["running"], state["events"][-2:]) == ("ota_0", [said, "cancelled:withdrawn"])
    assert kitchen.counts("otadata") == otadata
    network.faults = []
    with update(kitchen, network, SIZE) as running:
        running.succeeds(faults=0)


def test_a_withdrawal_too_late(kitchen, network, update, seen):
    for n, phase in enumerate(("activating", "rebooting", "testing"), 1):
        network.faults = [at(ack(phase), 1, withdrawal(seen, kitchen.topic("desired"), n), after=True)]
        with update(kitchen, network, SIZE) as running:
            running.succeeds(faults=0)
    # The last one has been looked at, too, by the time that a further offer is taken.
    network.faults = []
    with update(kitchen, network, SIZE) as running:
        running.succeeds(faults=0)
