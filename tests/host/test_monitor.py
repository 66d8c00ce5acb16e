"""`otafleet monitor`: every report of every device, readable by a person and by a program."""

import json
import subprocess

import pytest

from tests.host.device import FACTORY, Device, slot
from tests.support.broker import free_port
from tests.support.paths import program


@pytest.fixture
def monitor(otafleet):
    started = []

    def start(*arguments):
        started.append(otafleet.start("monitor", *arguments))
        return started[-1]

    yield start
    for one in started:
        one.__exit__(None, None, None)


def test_kept_states_come_first_and_are_marked_then_what_happens(device, monitor):
    shown = monitor()
    shown.expect(r"= kitchen +state +n 0 idle; runs ota_0 VALID - f{16}; ota_1 UNDEFINED$")
    device.report("downloading", n=3, progress=[10, 37])
    shown.expect(r"[0-9:]{8}   kitchen +state +n 3 downloading 27 %; runs")
    device.ack("verifying")
    shown.expect(r"kitchen +ack +n 3 verifying; runs ota_0 VALID f{16}$")
    device.presence(online=False)
    shown.expect(r"kitchen +online offline; boot 1, connection 1$")
    device.report("failed", "flash_error")
    shown.expect(r"kitchen +state +n 3 failed \(flash_error\); runs")
    shown.interrupt()
    assert shown.wait() == 0


def test_json_is_one_object_a_line(device, monitor):
    shown = monitor("--json")
    shown.expect("{")
    device.ack("verifying")
    shown.expect('"ack"')
    shown.terminate()
    assert shown.wait() == 0
    first, second = (json.loads(line) for line in shown.lines.items)
    assert (first["device"], first["topic"], first["retained"]) == ("kitchen", "state", True)
    assert first["message"]["slots"][0] == slot("ota_0", "VALID", FACTORY)
    assert (second["topic"], second["retained"], second["message"]["phase"]) == ("ack", False, "verifying")


def test_all_devices_of_the_prefix_and_no_others(broker, monitor):
    with Device(broker.url, "hall", "site/a") as hall, Device(broker.url, "kitchen") as kitchen:
        kitchen.report()
        hall.report()
        shown = monitor("--prefix", "site/a", "--json")
        shown.expect('"hall"')
        hall.ack("verifying")
        shown.expect('"verifying"')
    assert "kitchen" not in shown.output


HOSTILE = [
    b"\x1b[2J\x1b]0;owned\x07",
    b'{"v":1,"phase":"\x1b[31m"}',
    b"{" * 900,
    b'{"v":1e999}',
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"v":1,"epoch":"00c0ffee","boot":"\\u001b[31m"}',
    b"x" * 1_000_000,
]


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_hostile_report_is_one_harmless_line(broker, watch, monitor, arguments):
    with Device(broker.url) as device:
        device.report()
        shown = monitor(*arguments)
        shown.expect("kitchen")
        attacker = watch()
        # What the broker lets pass: it drops what exceeds its own limit of 8 KB.
        for payload in (payload for payload in HOSTILE if len(payload) < 8000):
            for leaf in ("state", "ack", "online"):
                attacker.publish(f"fleet/devices/evil/{leaf}", payload)
        device.ack("verifying")
        shown.expect("verifying")
    assert all(character.isprintable() or character == "\n" for character in shown.output)
    bad = [line for line in shown.lines.items if "evil" in line]
    assert len(bad) == 3 * 6
    assert all("bad_report" in line for line in bad)


def test_a_device_with_an_impossible_name_is_not_shown(broker, watch, monitor):
    with Device(broker.url) as device:
        device.report()
        shown = monitor()
        shown.expect("kitchen")
        attacker = watch()
        for name in ("a b", "ä", "x" * 65, "", "\u202egnp"):
            attacker.publish(f"fleet/devices/{name}/state", b"{}")
        device.ack("verifying")
        shown.expect("verifying")
    assert len(shown.lines.items) == 2


def test_a_device_that_was_removed_from_the_broker_is_told(device, watch, monitor):
    shown = monitor()
    shown.expect("kitchen")
    watch().publish("fleet/devices/kitchen/state", b"", retain=True)
    shown.expect(r"kitchen +state +removed$")


def test_it_goes_on_after_the_broker_was_away(device, broker, monitor):
    shown = monitor()
    shown.expect("kitchen")
    broker.stop()
    shown.expect("lost the broker at mqtt://")
    broker.start()
    shown.expect("connected again")
    device.ack("verifying")
    shown.expect("verifying")


def test_no_broker_is_exit_6(offline):
    result = offline.run("monitor", "--broker", f"mqtt://127.0.0.1:{free_port()}")
    assert result.returncode == 6
    assert result.stderr.startswith("otafleet: no broker at mqtt://127.0.0.1:")
    assert result.stderr.count("\n") == 1


def test_head_ends_it_cleanly(otafleet, device):
    watched = subprocess.Popen(
        [program("otafleet"), "monitor"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**otafleet.environment, "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": ""},
        text=True,
    )
    with watched:
        assert "kitchen" in watched.stdout.readline()
        watched.stdout.close()
        device.ack("verifying")
        device.ack("verifying")
        assert watched.wait(20) == 0
        assert watched.stderr.read() == ""
