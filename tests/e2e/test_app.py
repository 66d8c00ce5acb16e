"""A user's own program has its say in an update: it refuses, waits, makes room, tests itself, and is told."""

from agent.protocol import offer
from agent.protocol.host import offers
from broker_tools import keys
from broker_tools.image import load
from broker_tools.signing import Wish, sign
from broker_tools.store.database import open_engine
from tests.e2e.apps import allow, app

DEFERS = app(
    """
    def defer(self, manifest):
        print("asked to begin", manifest["version"])
        return 0 if go() else 0.05
    """
)
DEFERS_FOR_AN_HOUR = app(
    """
    def veto(self, manifest):
        print("shown", manifest["version"])
    def defer(self, manifest):
        print("asked to begin")
        return 0 if go() else 3600
    """,
    run="""
from time import sleep_ms
while True:
    if not agent.step():
        print("nothing to do")
        sleep_ms(100)
""",
)
VETOES = app(
    """
    def veto(self, manifest):
        return manifest["version"] == "1.1"
    """
)
MAKES_ROOM = app(
    """
    def prepare(self):
        print("prepares over", bytes(agent.device.target.read(0, 4)))
    """
)
TAKES_ITS_TIME = app(
    """
    asked = 0
    def selftest(self):
        self.asked += 1
        print("tested", self.asked)
        return True if self.asked == 3 else None
    """
)
IS_TOLD = """
def status(self, phase, reason):
    print("told", phase, reason)
"""
FAILS_AND_IS_TOLD = (
    IS_TOLD
    + """
def selftest(self):
    return False
"""
)
RAISES = app(
    """
    def raises(self, *arguments):
        raise RuntimeError("a hook")
    veto = defer = prepare = before = status = raises
    """
)


def said(twin, start):
    """What the device printed after `start`, of the lines that begin with it."""
    lines = twin.console.lines.items
    return [line.removeprefix(start).strip() for line in lines if line.startswith(start)]


def acks(seen, twin):
    """Phase and reason of every ack, in order."""
    found = [message.json for message in seen.messages.items if message.topic == twin.topic("ack")]
    return [(ack["phase"], ack["reason"]) for ack in found]


def test_an_app_that_defers_is_asked_again_until_it_agrees(otafleet, kitchen_with, image, publish, watch):
    kitchen = kitchen_with(DEFERS)
    seen = watch(kitchen.topic("ack"))
    with otafleet.start(*publish(image("1.1"))) as publisher:
        publisher.expect("deferred")
        mark = kitchen.console.lines.mark()
        for _ in range(2):
            kitchen.console.expect("asked to begin 1.1", after=mark)
            mark = kitchen.console.lines.mark()
        assert acks(seen, kitchen)[-1] == ("deferred", "deferred_by_app")
        allow(kitchen)
        assert publisher.wait() == 0, publisher.output
    # One transition, however often it was asked.
    assert acks(seen, kitchen)[:3] == [("offered", ""), ("deferred", "deferred_by_app"), ("downloading", "")]


def test_after_a_reset_an_app_is_asked_anew(otafleet, kitchen_with, image, publish):
    kitchen = kitchen_with(DEFERS_FOR_AN_HOUR)
    with otafleet.start(*publish(image("1.1"))) as publisher:
        publisher.expect("deferred")
        kitchen.off()
        allow(kitchen)
        kitchen.on()
        assert publisher.wait() == 0, publisher.output


def test_an_offer_can_be_withdrawn_while_the_app_defers_it(otafleet, kitchen_with, image, publish, watch):
    kitchen = kitchen_with(DEFERS_FOR_AN_HOUR)
    with otafleet.start(*publish(image("1.1"))) as publisher:
        publisher.expect("deferred")
        publisher.interrupt()
        assert publisher.wait() == 1
    watch(kitchen.topic("state")).expect(kitchen.topic("state"), phase="cancelled", reason="withdrawn")
    allow(kitchen)
    otafleet.ok(*publish(image("1.2")))


def test_an_app_may_refuse_at_once_but_defers_only_what_is_granted(otafleet, kitchen_with, image, key, watch):
    kitchen = kitchen_with(DEFERS_FOR_AN_HOUR)
    topic = kitchen.topic("state")
    seen = watch(topic)
    store = open_engine(f"sqlite:///{otafleet.home / 'otafleet.db'}")
    release, _ = sign(store, load(image("1.1")), keys.load_private(otafleet.home, key), Wish("demo", "1.1"))
    store.dispose()

    def publish_offer(start):
        payload = offers.encode_offer(1, "", 0, start, [release.manifest], ["direct"])
        seen.publish(kitchen.topic("desired"), payload, retain=True)

    publish_offer(offer.ASK)
    kitchen.console.expect("shown 1.1")
    kitchen.console.expect("nothing to do", after=kitchen.console.lines.mark())
    assert "asked to begin" not in kitchen.console.output
    publish_offer(offer.NOW)
    kitchen.console.expect("asked to begin")
    seen.expect(topic, phase="deferred", n=1)


def test_an_app_that_vetoes_refuses_one_update_for_good(otafleet, kitchen_with, image, publish):
    kitchen = kitchen_with(VETOES)
    result = otafleet.run(*publish(image("1.1")))
    assert (result.returncode, "vetoed_by_app" in result.stdout) == (3, True), result.stdout + result.stderr
    assert not any(count.erases for count in kitchen.counts("ota_1"))
    otafleet.ok(*publish(image("1.2")))


def test_an_app_prepares_once_before_the_first_chunk(otafleet, kitchen_with, image, publish):
    kitchen = kitchen_with(MAKES_ROOM)
    otafleet.ok(*publish(image("1.1")))
    assert said(kitchen, "prepares over") == [repr(b"\xff" * 4)]


def test_an_app_may_take_its_time_for_its_self_test(otafleet, kitchen, image, publish):
    otafleet.ok(*publish(image("1.1", TAKES_ITS_TIME)))
    assert said(kitchen, "tested") == ["1", "2", "3"]


def test_an_app_is_told_how_its_updates_go(otafleet, kitchen_with, image, publish):
    kitchen = kitchen_with(app(IS_TOLD))
    assert otafleet.run(*publish(image("1.1", app(FAILS_AND_IS_TOLD)))).returncode == 4
    otafleet.ok(*publish(image("1.2", app(IS_TOLD))))
    way = ["offered", "downloading", "verifying", "activating", "rebooting", "testing"]
    assert said(kitchen, "told") == [*way, "rolled_back selftest_failed", *way, "confirmed"]


def test_hooks_that_raise_stop_no_update(otafleet, kitchen_with, image, publish):
    kitchen = kitchen_with(RAISES)
    otafleet.ok(*publish(image("1.1", RAISES)))
    assert kitchen.console.output.count("RuntimeError: a hook") > 10
