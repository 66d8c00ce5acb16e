"""What may end half-way: the broker, the device, the publisher, the user's patience, the offer itself."""

import re

import pytest

from agent.protocol import offer
from agent.protocol.host import offers
from agent.protocol.manifest import decode, split
from broker_tools import keys
from broker_tools.image import load
from broker_tools.signing import Wish, sign
from broker_tools.store.database import open_engine

SIZE = 400_000
SECTORS = -(-SIZE // 4096)
HALF_WAY = r"^[4-9]0 %"


@pytest.fixture
def slow_kitchen(make_twin):
    """A twin whose flash takes its time (about 5 seconds for an image), so that there is a half-way."""
    with make_twin(flash_timing=True) as twin:
        yield twin


@pytest.fixture
def file(image):
    return image("1.1", size=SIZE)


def erases_beyond_one(twin):
    return sum(count.erases - 1 for count in twin.counts("ota_1")[:SECTORS])


def test_the_broker_dies_and_comes_back(otafleet, slow_kitchen, file, publish, broker):
    with otafleet.start(*publish(file)) as publisher:
        publisher.expect(HALF_WAY)
        broker.kill()
        publisher.expect("lost the broker")
        broker.start()
        assert publisher.wait() == 0, publisher.output
    slow_kitchen.off()
    assert erases_beyond_one(slow_kitchen) == 0


def test_the_broker_comes_back_without_its_memory(otafleet, slow_kitchen, file, publish, broker):
    with otafleet.start(*publish(file)) as publisher:
        publisher.expect(HALF_WAY)
        broker.kill()
        for path in broker.folder.glob("mosquitto.db*"):
            path.unlink()
        broker.start()
        assert publisher.wait() == 0, publisher.output


def test_the_device_loses_its_power(otafleet, slow_kitchen, file, publish):
    with otafleet.start(*publish(file)) as publisher:
        publisher.expect(HALF_WAY)
        slow_kitchen.off()
        publisher.expect("offline")
        slow_kitchen.on()
        assert publisher.wait() == 0, publisher.output
    slow_kitchen.off()
    # Only what was being written when the power went had to be erased again.
    assert erases_beyond_one(slow_kitchen) <= 1


def test_the_publisher_is_killed_and_started_again(otafleet, slow_kitchen, file, publish):
    with otafleet.start(*publish(file)) as publisher:
        publisher.expect(HALF_WAY)
        publisher.kill()
    otafleet.ok(*publish(file))
    slow_kitchen.off()
    assert erases_beyond_one(slow_kitchen) == 0


def test_ctrl_c_withdraws_the_offer(otafleet, slow_kitchen, file, publish, watch):
    with otafleet.start(*publish(file)) as publisher:
        publisher.expect(HALF_WAY)
        publisher.interrupt()
        assert publisher.wait() == 1
    assert "withdrawn" in publisher.output
    assert "Traceback" not in publisher.output
    seen = watch(slow_kitchen.topic("state"), slow_kitchen.topic("desired"))
    state = seen.expect(slow_kitchen.topic("state"), phase="cancelled", reason="withdrawn").json
    assert state["running"] == "ota_0"
    seen.expect(slow_kitchen.topic("desired"), withdraw=True, n=state["n"])


def test_ctrl_c_past_set_boot_leaves_the_offer(otafleet, kitchen, file, publish, watch):
    with otafleet.start(*publish(file)) as publisher:
        publisher.expect("rebooting")
        publisher.interrupt()
        publisher.wait()
    watch(kitchen.topic("state")).expect(kitchen.topic("state"), phase="confirmed")


def test_a_later_offer_takes_the_place_of_an_earlier_one(otafleet, slow_kitchen, image, file, publish):
    with otafleet.start(*publish(file)) as earlier:
        earlier.expect(HALF_WAY)
        later = otafleet.run(*publish(image("1.2", size=SIZE)))
        assert later.returncode == 0, later.stdout + later.stderr
        assert earlier.wait() == 1
    assert "later offer" in earlier.output.splitlines()[-1]


def test_an_offer_that_asks_waits_for_its_grant(otafleet, kitchen, file, watch, key, image, publish):
    seen = watch(kitchen.topic("state"), kitchen.topic("want"))
    store = open_engine(f"sqlite:///{otafleet.home / 'otafleet.db'}")
    release, _ = sign(store, load(file), keys.load_private(otafleet.home, key), Wish("demo", "1.1"))
    store.dispose()

    def publish_offer(start):
        payload = offers.encode_offer(1, "", 0, start, [release.manifest], ["direct"])
        seen.publish(kitchen.topic("desired"), payload, retain=True)

    publish_offer(offer.ASK)
    seen.expect(kitchen.topic("state"), phase="offered", n=1)
    publish_offer(offer.ASK)
    # Whatever the device does about the same offer again, it has done when it reconnects and reports.
    kitchen.off()
    mark = seen.messages.mark()
    kitchen.on()
    seen.expect(kitchen.topic("state"), phase="offered", n=1, after=mark)
    assert not any(message.topic == kitchen.topic("want") for message in seen.messages.items)
    publish_offer(offer.NOW)
    seen.expect(kitchen.topic("state"), phase="downloading", n=1)
    seen.expect(kitchen.topic("want"), n=1, content=decode(split(release.manifest)[3])["content"])
    otafleet.ok(*publish(image("1.2")))


def test_silence_ends_with_its_own_exit_code(otafleet, slow_kitchen, file, publish):
    with otafleet.start(*publish(file, "--timeout", "2")) as publisher:
        publisher.expect(HALF_WAY)
        slow_kitchen.off()
        assert publisher.wait() == 5
    assert re.search("silent for 2 s", publisher.output.splitlines()[-1])
