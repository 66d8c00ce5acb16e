"""Devices that are never up for long: they sleep, or crash, and still take their updates."""

import pytest

from broker_tools import twins
from tests.e2e.images import COLLECTS, WORKS

SIZE = 200_000
# Two seconds of waiting, or 15 chunks of an update: then it ends, but for its trial. What main.py does after 30 s this
# does at once.
NEVER_UP_FOR_LONG = """
import machine
from time import sleep_ms
from agent.agent import Agent

agent = Agent()
waits = 0
while agent.trial or waits < 100:
    if not agent.step():
        waits += 1
        sleep_ms(20)
    if agent.download and agent.download.done - agent.download.found >= 15:
        break
machine.%s
"""
# Between set_boot and the reset that follows it, once.
SLEEPS_WHEN_IT_SHOULD_REBOOT = """
import machine
from agent.agent import Agent
from agent.app import App

class Sleepy(App):
    def before(self, step):
        if step == "reboot" and machine.reset_cause() in (machine.PWRON_RESET, machine.HARD_RESET):
            machine.%s
        return 0

Agent(app=Sleepy()).run()
"""


@pytest.mark.parametrize(
    ("does", "said"),
    [("reset()", r"machine.reset\(\)"), ("deepsleep(200)", "deep sleep")],
    ids=["crashes", "sleeps"],
)
def test_an_update_goes_on_in_the_next_life(otafleet, make_twin, image, publish, does, said):
    app = COLLECTS + (NEVER_UP_FOR_LONG % does).encode()
    with make_twin() as kitchen:
        # Good enough to be confirmed, it stays; but what comes after it must still be taken.
        otafleet.ok(*publish(image("1.1", app)))
        kitchen.console.expect(f"^--- boot [3-9]: ota_1 VALID after {said}", timeout=20)
        mark = kitchen.console.lines.mark()
        otafleet.ok(*publish(image("1.2", WORKS, size=SIZE)))
        lives = [line for line in kitchen.console.lines.items[mark:] if line.startswith("--- boot")]
    assert len(lives) > 3, lives
    written = kitchen.counts("ota_0")[: -(-SIZE // 4096)]
    assert {sector.erases for sector in written} == {1}


@pytest.mark.parametrize(
    ("does", "cause"),
    [("deepsleep(100)", "deep sleep"), ("soft_reset()", "soft reset")],
    ids=["sleeps", "resets softly"],
)
def test_a_new_image_is_started_though_the_boot_loader_was_not_asked(
    otafleet, make_twin, image, publish, does, cause
):
    program = COLLECTS + (SLEEPS_WHEN_IT_SHOULD_REBOOT % does).encode()
    with make_twin(app=twins.image(program, "demo", "1.0", size=60_000)) as kitchen:
        otafleet.ok(*publish(image("1.1")))
        boots = [line for line in kitchen.console.output.splitlines() if line.startswith("--- boot")]
    assert [line.partition(": ")[2] for line in boots] == [
        "ota_0 VALID after power-on",
        f"ota_0 VALID after {cause}",
        "ota_1 PENDING_VERIFY after machine.reset()",
    ]
