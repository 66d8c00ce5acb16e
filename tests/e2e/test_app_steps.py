"""A user's own program beside the agent: it holds back what would take too long, and shares its time and watchdog."""

import pytest

from tests.e2e.apps import WAITS, allow, app
from tests.support.web import WebServer

BROWSES = "160k"
"""Heap for the web client too."""
HOLDS = """
def before(self, step):
    if step == %r and not go():
        print("not yet:", step)
        return %s
"""
BESIDE = app(
    """
    def status(self, phase, reason):
        print("ticked", ticks, phase)
    """,
    run="""
import asyncio
ticks = 0
async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep_ms(20)
async def main():
    await asyncio.gather(agent.serve(), tick())
asyncio.run(main())
""",
)
HASTY = b"""
import machine
class Hasty(machine.WDT):
    def __init__(self, timeout):
        super().__init__(timeout=timeout // 20)
machine.WDT = Hasty
"""
"""Sixty seconds, the least that an agent takes, in three: nobody wants to wait for a test that long."""
WATCHED = HASTY + app("pass", agent="Agent(app=Mine(), watchdog_s=60)")


def held(twin, step):
    """Wait until the app has been asked again for this step, and has not let it happen."""
    mark = twin.console.lines.mark()
    for _ in range(3):
        twin.console.expect(f"not yet: {step}", after=mark)
        mark = twin.console.lines.mark()


def test_nothing_is_connected_before_the_app_agrees(otafleet, kitchen_with, image, publish, watch):
    kitchen = kitchen_with(app(HOLDS % ("connect", 0.02)))
    seen = watch(kitchen.topic("#"))
    held(kitchen, "connect")
    assert not seen.messages.items
    allow(kitchen)
    otafleet.ok(*publish(image("1.1")))


def test_no_web_server_is_asked_before_the_app_agrees(otafleet, kitchen_with, image, publish):
    file = image("1.1")
    site = file.parent / "app.bin"
    otafleet.ok("image", "index", file, "-o", site)
    files = {f"/{path.name}": path.read_bytes() for path in (site, site.with_name("app.bin.index"))}
    with WebServer(files) as web:
        kitchen = kitchen_with(app(HOLDS % ("fetch", 0.02)), hosts=["localhost"], heap=BROWSES)
        with otafleet.start(*publish(file, "--delivery", f"{web.url}/app.bin")) as publisher:
            held(kitchen, "fetch")
            assert not web.connections
            allow(kitchen)
            assert publisher.wait() == 0, publisher.output
        assert web.requests


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ("set_boot", "verifying", "activating"),
        ("reboot", "rebooting", "testing"),
    ],
)
def test_a_long_step_waits_for_the_app(otafleet, kitchen_with, image, publish, watch, step, before, after):
    kitchen = kitchen_with(app(HOLDS % (step, 0.02)))
    seen = watch(kitchen.topic("ack"))
    with otafleet.start(*publish(image("1.1"))) as publisher:
        seen.expect(kitchen.topic("ack"), phase=before)
        held(kitchen, step)
        assert seen.messages.items[-1].json["phase"] == before
        allow(kitchen)
        seen.expect(kitchen.topic("ack"), phase=after)
        assert publisher.wait() == 0, publisher.output


def test_while_one_step_is_held_the_connection_is_not(otafleet, kitchen_with, image, publish, watch, broker):
    kitchen = kitchen_with(app(HOLDS % ("set_boot", 3600)))
    with otafleet.start(*publish(image("1.1"))) as publisher:
        kitchen.console.expect("not yet: set_boot")
        broker.stop()
        publisher.expect("lost the broker")
        broker.start()
        publisher.interrupt()
        assert publisher.wait() == 1, publisher.output
    watch(kitchen.topic("state")).expect(kitchen.topic("state"), phase="cancelled", reason="withdrawn")


def test_the_agent_is_a_task_beside_others(otafleet, kitchen_with, image, publish):
    kitchen = kitchen_with(BESIDE)
    otafleet.ok(*publish(image("1.1", BESIDE)))
    ticked = [line.split()[1:] for line in kitchen.console.lines.items if line.startswith("ticked")]
    phases = [phase for _, phase in ticked]
    way = ["offered", "downloading", "verifying", "activating", "rebooting", "testing", "confirmed"]
    assert phases == way
    # The other task had its turns within the update, not only before and after.
    counts = [int(count) for count, _ in ticked]
    assert counts[0] < counts[1] < counts[2] < counts[3]


def test_the_watchdog_lets_an_update_be_and_resets_a_chip_without_its_broker(
    otafleet, kitchen_with, image, publish, broker
):
    kitchen = kitchen_with(WATCHED, flash_timing=True)
    # Three seconds at least, in which nothing but the agent feeds it.
    otafleet.ok(*publish(image("1.1", WATCHED, size=300_000)))
    broker.stop()
    kitchen.console.expect(r"^--- boot 3: ota_1 VALID after the watchdog", timeout=20)
    boots = [line for line in kitchen.console.lines.items if line.startswith("--- boot")]
    assert boots[1] == "--- boot 2: ota_1 PENDING_VERIFY after machine.reset()"
    broker.start()
    otafleet.ok(*publish(image("1.2", size=300_000)))


def test_a_trial_without_a_broker_ends_by_its_deadline_not_by_the_watchdog(
    otafleet, kitchen, image, publish, broker, watch
):
    code = WAITS + WATCHED
    with otafleet.start(*publish(image("1.1", code), "--confirm-s", "9")) as publisher:
        publisher.expect("rebooting")
        broker.stop()
        allow(kitchen)
        kitchen.console.expect(r"^--- boot 3: ota_0", timeout=20)
        broker.start()
        assert publisher.wait() == 4, publisher.output
    assert "rolled back: unreachable" in publisher.output
