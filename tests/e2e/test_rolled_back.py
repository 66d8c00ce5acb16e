"""Images that must not stay: the device goes back by itself and says why."""

import pytest

from broker_tools.image import parse
from tests.e2e.images import COLLECTS, CRASHES, LOST, WORKS

NEVER_YIELDS = b"while True:\n    pass\n"
TESTS_ITSELF = """
from agent.agent import Agent
from agent.app import App

class Tested(App):
    def selftest(self):
        %s

Agent(app=Tested()).run()
"""
FAILS_ITS_TEST = COLLECTS + (TESTS_ITSELF % "return False").encode()
NEVER_PASSES_ITS_TEST = COLLECTS + (TESTS_ITSELF % "return None").encode()
TRIPS_OVER_ITS_TEST = COLLECTS + (TESTS_ITSELF % "raise OSError(5)").encode()
WAITS_FOR_A_FILE = b"import os\nwhile 'go' not in os.listdir('/'):\n    pass\n"
RESETS = b"import machine\nmachine.reset()\n"


@pytest.mark.parametrize(
    ("code", "reason", "confirm_s"),
    [
        (CRASHES, "never_started", 2),
        (NEVER_YIELDS, "never_started", 2),
        (RESETS, "never_started", 2),
        # Here the agent's deadline must come before the guard's, which begins earlier: at boot, not when the
        # agent has been compiled. It is a tenth and a second longer.
        (LOST, "unreachable", 6),
        (FAILS_ITS_TEST, "selftest_failed", 6),
        (NEVER_PASSES_ITS_TEST, "selftest_failed", 6),
        (TRIPS_OVER_ITS_TEST, "selftest_failed", 6),
    ],
    ids=[
        "crashes",
        "never yields",
        "resets",
        "joins another Wi-Fi",
        "fails its test",
        "never passes its test",
        "trips over its test",
    ],
)
def test_a_bad_image_is_undone(otafleet, kitchen, image, publish, watch, code, reason, confirm_s):
    good = image("1.1")
    otafleet.ok(*publish(good))
    result = otafleet.run(*publish(image("1.2", code), "--confirm-s", str(confirm_s)))
    assert result.returncode == 4, result.stdout + result.stderr
    assert f"rolled back: {reason}" in result.stdout.splitlines()[-1]
    state = watch(kitchen.topic("state")).expect(kitchen.topic("state"), phase="rolled_back").json
    runs = next(slot for slot in state["slots"] if slot["slot"] == state["running"])
    assert (runs["app_state"], runs["sha256"]) == ("VALID", parse(good.read_bytes(), "").sha256)


def test_after_a_roll_back_a_good_image_is_taken(otafleet, kitchen, image, publish):
    assert otafleet.run(*publish(image("1.1", CRASHES), "--confirm-s", "1")).returncode == 4
    otafleet.ok(*publish(image("1.2")))


def test_a_broker_that_is_away_during_the_test_undoes_a_good_image(otafleet, kitchen, image, publish, broker):
    with otafleet.start(*publish(image("1.1", WAITS_FOR_A_FILE + WORKS), "--confirm-s", "5")) as publisher:
        publisher.expect("rebooting")
        broker.stop()
        (kitchen.folder / "vfs" / "go").touch()
        kitchen.console.expect(r"^--- boot 3: ota_0", timeout=20)
        broker.start()
        assert publisher.wait() == 4, publisher.output
    assert "rolled back: unreachable" in publisher.output
