"""What a publication makes of a broker that is not there, breaks, or forgets."""

import json

import pytest

from tests.support.broker import free_port


def last_line(program):
    return program.lines.items[-1]


def test_no_broker_is_one_line_and_exit_6(publish):
    program = publish("--broker", f"mqtt://127.0.0.1:{free_port()}")
    assert program.wait() == 6
    assert last_line(program).startswith("otafleet: no broker at mqtt://127.0.0.1:")
    assert "connection refused" in last_line(program)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_broker_that_dies_half_way_and_comes_back_costs_only_time(device, publish, broker, image_file, how):
    program = publish()
    offer = device.take()
    content = offer["payload"]["content"]
    device.want(offer["n"], content, [[0, 16]])
    device.chunk(content, 15)
    seen = device.desired_count()
    getattr(broker, how)()
    program.expect("lost the broker at")
    broker.start()
    program.expect("connected again to")
    # A killed broker has forgotten the offer, and a device fetches nothing before it has been delivered again.
    device.desired_again(seen)
    device.report()
    assert device.fetch(offer) == image_file.read_bytes()
    device.run_new(offer)
    assert program.wait() == 0


def test_a_device_that_does_not_know_of_the_offer_is_told_again(device, publish):
    program = publish()
    device.desired(start="now")
    device.desired_again(1)
    offer = device.take()
    device.run_new(offer)
    assert program.wait() == 0


def test_a_device_that_comes_back_and_asks_for_nothing_is_told_again(device, publish):
    """Its broker may have come back from an old backup, and have told it an older offer."""
    program = publish()
    offer = device.take()
    seen = device.desired_count()
    device.presence(online=False)
    program.expect("is offline")
    device.presence(online=True)
    device.desired_again(seen)
    device.run_new(offer)
    assert program.wait() == 0


def test_a_broker_that_stays_away_ends_with_6(device, publish, broker):
    program = publish("--timeout", "2", "--json")
    device.take()
    broker.stop()
    assert program.wait() == 6
    end = json.loads(last_line(program))
    assert end["result"] == "no_broker"
    assert "the broker could not be told, so the offer is still on it" in end["message"]


def test_an_offer_left_on_a_broker_is_replaced_by_the_next_publication(device, publish, broker):
    program = publish("--timeout", "2")
    device.take()
    broker.stop()
    assert program.wait() == 6
    broker.start()
    device.report()
    second = publish()
    offer = device.take(n=2)
    device.run_new(offer)
    assert second.wait() == 0
