"""Images that must not stay: the device goes back by itself and says why."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from broker_tools import exits, twins
from tests.e2e.images import COLLECTS, CRASHES, LOST, WORKS, with_config
from tests.support.broker import PROVIDERS, Mosquitto
from tests.support.cli import Otafleet
from tests.support.twin_device import TwinDevice
from tests.support.watcher import Watcher

NO_AGENT = b"import an_agent_that_is_not_there\n"
FALLS_INTO_THE_REPL = b"print('hello')\n"
NEVER_YIELDS = b"while True:\n    pass\n"
RESETS = b"import machine\nmachine.reset()\n"
RESETS_SOFTLY = b"raise SystemExit\n"
WITH_HOOKS = """
import machine, os
from agent.agent import Agent
from agent.app import App

class Tested(App):
    def %s

Agent(app=Tested()).run()
"""
IN_ITS_TRIAL = """
import machine
from agent.agent import Agent

agent = Agent()
while not agent.trial:
    agent.step()
machine.%s
"""
WAITS_FOR_A_FILE = b"import os\nwhile 'go' not in os.listdir('/'):\n    pass\n"


def selftest(body):
    return COLLECTS + (WITH_HOOKS % f"selftest(self): {body}").encode()


def in_its_trial(does):
    return COLLECTS + (IN_ITS_TRIAL % does).encode()


@dataclass
class Bench:
    """A device that many tests share: each of them leaves it on a good image, with a bad one to its name."""

    folder: Path
    broker: Mosquitto
    otafleet: Otafleet
    device: TwinDevice
    versions: list[str] = field(default_factory=list)

    def image(self, code: bytes) -> Path:
        """Make an image that there has not been yet."""
        self.versions.append(f"1.{len(self.versions) + 1}")
        path = self.folder / f"{self.device.id}-{self.versions[-1]}.bin"
        path.write_bytes(twins.image(code, "demo", self.versions[-1], size=60_000))
        return path

    def arguments(self, image: Path, *options: str) -> tuple[str | Path, ...]:
        """Arguments of `otafleet` that publish it to the device."""
        who = ("--key", "release", "--device", self.device.id)
        return ("publish", image, *who, "--timeout", "30", *options)

    def publish(self, image: Path, *options: str) -> CompletedProcess[str]:
        """Publish it to the device, to the end."""
        return self.otafleet.run(*self.arguments(image, *options))

    def state(self, **fields) -> dict:
        """Wait until its retained state has these fields; all of them."""
        topic = self.device.topic("state")
        assert self.otafleet.broker
        with Watcher(self.otafleet.broker, topic) as watcher:
            return watcher.expect(topic, **fields).json


@pytest.fixture(scope="module")
def site(tmp_path_factory, request) -> Iterator[tuple[Path, Mosquitto, Otafleet]]:
    """A folder, and a home with a broker and a key."""
    folder = tmp_path_factory.mktemp("site")
    with PROVIDERS[request.config.getoption("--broker-provider")](folder / "mosquitto") as broker:
        otafleet = Otafleet(folder / "home", broker.url)
        otafleet.ok("keys", "new", "release")
        yield folder, broker, otafleet


@pytest.fixture(scope="module")
def bench(site) -> Iterator[Bench]:
    """A device that was updated once."""
    folder, broker, otafleet = site
    with TwinDevice(folder / "kitchen", otafleet, otafleet.broker) as device:
        bench = Bench(folder, broker, otafleet, device)
        assert bench.publish(bench.image(WORKS)).returncode == exits.OK
        yield bench


@pytest.fixture(scope="module")
def old_bench(site) -> Iterator[Bench]:
    """A device whose boot loader knows no rollback: nobody but the agent looks after a new image."""
    folder, broker, otafleet = site
    device = TwinDevice(folder / "cellar", otafleet, otafleet.broker, device="cellar")
    settings = device.folder / "twin.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "rollback": False}))
    with device:
        yield Bench(folder, broker, otafleet, device)


def assert_undone(bench, code, reason, confirm_s):
    before = bench.state()
    result = bench.publish(bench.image(code), "--confirm-s", str(confirm_s))
    assert result.returncode == exits.ROLLED_BACK, result.stdout + result.stderr
    assert f"rolled back: {reason}" in result.stdout.splitlines()[-1]
    state = bench.state(phase="rolled_back", reason=reason, n=before["n"] + 1)
    assert state["floor"] == before["floor"]  # it rises with a confirmed image only
    runs, had = (
        next(slot for slot in told["slots"] if slot["slot"] == told["running"]) for told in (state, before)
    )
    assert runs == had and runs["app_state"] == "VALID"


# Seconds: where the guard ends the trial they are few. Where the agent does, its deadline must come before the
# guard's, which runs from boot and not from the agent's first line; it is a tenth and a second longer.
@pytest.mark.parametrize(
    ("code", "reason", "confirm_s"),
    [
        pytest.param(CRASHES, "never_started", 1, id="crashes"),
        pytest.param(NO_AGENT, "never_started", 1, id="cannot import its agent"),
        pytest.param(FALLS_INTO_THE_REPL, "never_started", 1, id="falls into the REPL"),
        pytest.param(NEVER_YIELDS, "never_started", 1, id="never yields"),
        pytest.param(RESETS, "never_started", 30, id="resets"),
        pytest.param(RESETS_SOFTLY, "never_started", 30, id="resets softly"),
        pytest.param(in_its_trial("reset()"), "reset_in_test", 30, id="resets in its trial"),
        pytest.param(in_its_trial("soft_reset()"), "reset_in_test", 30, id="resets softly in its trial"),
        pytest.param(in_its_trial("deepsleep(50)"), "reset_in_test", 30, id="sleeps in its trial"),
        pytest.param(with_config("keys = {'0' * 16: bytes(64)}"), "manifest_lost", 30, id="has another key"),
        pytest.param(with_config("keys = {}"), "manifest_lost", 30, id="has no key"),
        pytest.param(selftest("return False"), "selftest_failed", 30, id="fails its test"),
        pytest.param(selftest("return None"), "selftest_failed", 5, id="never passes its test"),
        pytest.param(selftest("raise OSError(5)"), "selftest_failed", 30, id="trips over its test"),
    ],
)
def test_a_bad_image_is_undone(bench, code, reason, confirm_s):
    assert_undone(bench, code, reason, confirm_s)


@pytest.mark.parametrize(
    ("code", "reason", "confirm_s"),
    [
        pytest.param(selftest("return False"), "selftest_failed", 30, id="fails its test"),
        pytest.param(selftest("return None"), "selftest_failed", 2, id="never passes its test"),
        pytest.param(in_its_trial("reset()"), "boot_loop", 30, id="resets in its trial"),
        pytest.param(in_its_trial("deepsleep(50)"), "boot_loop", 30, id="sleeps in its trial"),
    ],
)
def test_the_agent_undoes_it_where_the_boot_loader_does_not(old_bench, code, reason, confirm_s):
    assert_undone(old_bench, code, reason, confirm_s)


def test_a_good_image_is_kept_where_the_boot_loader_knows_no_rollback(old_bench):
    result = old_bench.publish(old_bench.image(WORKS))
    assert result.returncode == exits.OK, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1].endswith("confirmed VALID")


def test_after_a_roll_back_a_good_image_is_taken(bench):
    assert_undone(bench, CRASHES, "never_started", 1)
    assert bench.publish(bench.image(WORKS)).returncode == exits.OK


def test_the_last_attempt_is_the_third_and_a_new_signature_frees(bench):
    image = bench.image(selftest("return 'works' in os.listdir('/')"))
    assert bench.publish(image).returncode == exits.ROLLED_BACK
    assert bench.publish(image, "--attempt", "3").returncode == exits.ROLLED_BACK
    refused = bench.publish(image, "--attempt", "4")
    assert (refused.returncode, "quarantined" in refused.stdout) == (exits.REJECTED, True), refused.stdout
    (bench.device.folder / "vfs" / "works").touch()
    assert bench.publish(image, "--sign-again").returncode == exits.OK


def test_an_image_that_found_no_broker_gets_two_more_chances(old_bench):
    # Without a guard, which comes a second later than the agent, one second is enough.
    image = old_bench.image(LOST)
    for _ in range(3):
        result = old_bench.publish(image, "--confirm-s", "1")
        assert result.returncode == exits.ROLLED_BACK, result.stdout + result.stderr
        assert "rolled back: unreachable" in result.stdout.splitlines()[-1]
    refused = old_bench.publish(image, "--confirm-s", "1")
    assert (refused.returncode, "quarantined" in refused.stdout) == (exits.REJECTED, True), refused.stdout


def test_a_broker_that_is_away_during_the_test_undoes_a_good_image(bench):
    image = bench.image(WAITS_FOR_A_FILE + WORKS)
    with bench.otafleet.start(*bench.arguments(image, "--confirm-s", "5")) as publisher:
        publisher.expect("rebooting")
        bench.broker.stop()
        mark = bench.device.console.lines.mark()
        (bench.device.folder / "vfs" / "go").touch()
        bench.device.console.expect(r"^--- boot \d+: .* VALID after", timeout=20, after=mark)
        bench.broker.start()
        assert publisher.wait() == exits.ROLLED_BACK, publisher.output
    assert "rolled back: unreachable" in publisher.output
