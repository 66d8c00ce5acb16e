"""Updates that end well: what the user sees, what the device reports, what the flash went through."""

import json

from broker_tools.image import parse
from tests.support.testdata import genuine_firmware


def running(state):
    return next(slot for slot in state["slots"] if slot["slot"] == state["running"])


def last_state(watch, twin):
    return watch(twin.topic("state")).expect(twin.topic("state"), phase="confirmed").json


def test_publish_ends_with_a_confirmed_image(otafleet, kitchen, image, publish, watch):
    file = image("1.1")
    result = otafleet.run(*publish(file))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "confirmed VALID" in result.stdout.splitlines()[-1]
    state = last_state(watch, kitchen)
    assert running(state) == {
        "slot": "ota_1",
        "app_state": "VALID",
        "sha256": parse(file.read_bytes(), "").sha256,
        "size": file.stat().st_size,
        "version": "1.1",
    }


def test_every_sector_is_erased_once(otafleet, kitchen, image, publish):
    file = image("1.1", size=300_000)
    otafleet.ok(*publish(file))
    kitchen.off()
    sectors = -(-file.stat().st_size // 4096)
    erases = [count.erases for count in kitchen.counts("ota_1")]
    assert erases[:sectors] == [1] * sectors
    assert not any(erases[sectors:])
    assert not any(count.erases for count in kitchen.counts("ota_0"))


def test_a_second_update_goes_back_to_the_first_slot(otafleet, kitchen, image, publish, watch):
    otafleet.ok(*publish(image("1.1")))
    otafleet.ok(*publish(image("1.2")))
    state = last_state(watch, kitchen)
    assert (state["running"], running(state)["version"]) == ("ota_0", "1.2")


def test_the_genuine_firmware_in_a_heap_of_128k_from_source(otafleet, make_twin, publish, watch):
    file = genuine_firmware()
    with make_twin(heap="128k") as kitchen:
        # Less than the ten seconds after which a trial asks for the echo of its state: the offer alone must do.
        otafleet.ok(*publish(file, "--project", "demo", "--version", "1.16", "--confirm-s", "9"), timeout=110)
        assert running(last_state(watch, kitchen))["sha256"] == parse(file.read_bytes(), "").sha256
        assert "MemoryError" not in kitchen.console.output


def test_update_after_update_in_a_small_heap(otafleet, kitchen, image, publish):
    # The journal holds more after each of the first ones, and what it holds lies between the buffers.
    for number in range(8):
        otafleet.ok(*publish(image(f"1.{number}", size=30_000)))
    assert "MemoryError" not in kitchen.console.output


def test_what_already_runs_is_confirmed_without_a_write(otafleet, kitchen, image, publish):
    file = image("1.1")
    otafleet.ok(*publish(file))
    kitchen.off()
    before = kitchen.counts("ota_0"), kitchen.counts("ota_1"), kitchen.counts("otadata")
    kitchen.on()
    result = otafleet.run(*publish(file))
    assert (result.returncode, "already" in result.stdout) == (0, True), result.stdout + result.stderr
    kitchen.off()
    assert (kitchen.counts("ota_0"), kitchen.counts("ota_1"), kitchen.counts("otadata")) == before


def test_publish_in_json(otafleet, kitchen, image, publish):
    events = [json.loads(line) for line in otafleet.ok(*publish(image("1.1"), "--json")).splitlines()]
    assert events[-1]["event"] == "outcome"
    assert (events[-1]["result"], events[-1]["exit_code"]) == ("confirmed", 0)


def test_monitor_shows_an_update_as_it_happens(otafleet, kitchen, image, publish):
    with otafleet.start("monitor") as monitor:
        monitor.expect(r" kitchen +state +n 0 idle")  # kept by the broker or just sent
        otafleet.ok(*publish(image("1.1")))
        for phase in ("downloading", "verifying", "activating", "rebooting", "testing", "confirmed"):
            monitor.expect(rf"kitchen +ack +n 1 {phase}; runs ota_")
        monitor.expect(r"kitchen +state +n 1 confirmed; runs ota_1 VALID 1\.1")
        monitor.interrupt()
        assert monitor.wait() == 0
