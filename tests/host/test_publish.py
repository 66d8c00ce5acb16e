"""`otafleet publish` against a real broker and a device whose every word the test chooses."""

import json

import pytest

from agent.protocol import manifest
from firmware.twin.image import make_image
from tests.host.device import slot
from tests.support.waiting import wait_for

DESIRED = "fleet/devices/kitchen/desired"


def last_line(program):
    return program.lines.items[-1]


def outcome(program):
    return json.loads(last_line(program))


def test_success_is_confirmed_and_valid_on_the_offered_digest(device, publish, image_file):
    program = publish()
    offer = device.take()
    assert device.fetch(offer) == image_file.read_bytes()
    for phase in ("verifying", "activating", "rebooting", "testing"):
        device.ack(phase)
    device.run_new(offer)
    assert program.wait() == 0
    assert last_line(program) == "kitchen runs 1.4.0 from ota_1, confirmed VALID"
    for phase in ("downloading", "verifying", "activating", "rebooting", "testing", "confirmed"):
        assert f"kitchen: {phase}" in program.lines.items
    assert "100 % (37 of 37 chunks)" in program.lines.items


def test_json_is_one_object_a_line_and_the_outcome_last(device, publish):
    program = publish("--json")
    offer = device.take()
    device.fetch(offer)
    device.run_new(offer)
    assert program.wait() == 0
    events = [json.loads(line) for line in program.lines.items if not line.startswith("made ")]
    kinds = [event["event"] for event in events]
    assert kinds[:3] == ["device", "signed", "offered"]
    assert kinds[-1] == "outcome"
    progress = [event["done"] for event in events if event["event"] == "progress"]
    assert progress == sorted(set(progress))
    assert progress[-1] == 37
    end = events[-1]
    assert (end["exit_code"], end["result"], end["reason"]) == (0, "confirmed", "")
    assert end["state"]["running"] == "ota_1"


@pytest.mark.parametrize(
    ("phase", "reason", "code", "said"),
    [
        ("rejected", "below_floor", 3, "rejected: below_floor: The image is older than"),
        (
            "rolled_back",
            "selftest_failed",
            4,
            "rolled back: selftest_failed: The new image's own self-test failed",
        ),
        ("failed", "flash_error", 1, "failed: flash_error: The flash could not"),
        ("failed", "a_reason_of_tomorrow", 1, "failed: a_reason_of_tomorrow"),
        ("cancelled", "withdrawn", 1, "cancelled: withdrawn: The offer was withdrawn"),
    ],
)
def test_each_bad_end_has_its_exit_code_and_its_reason(device, publish, phase, reason, code, said):
    program = publish()
    device.take()
    device.report(phase, reason)
    assert program.wait() == code
    assert last_line(program).startswith(f"kitchen: {said}")


@pytest.mark.parametrize("app_state", ["NEW", "PENDING_VERIFY", "UNDEFINED", "INVALID"])
def test_confirmed_without_a_valid_slot_is_no_success(device, publish, app_state):
    program = publish()
    offer = device.take()
    device.run_new(offer, app_state)
    assert program.wait() == 1
    assert "not VALID on" in last_line(program)


def test_confirmed_on_another_image_is_no_success(device, publish):
    program = publish("--json")
    device.take()
    device.report("confirmed")
    assert program.wait() == 1
    assert outcome(program)["reason"] == "wrong_image"


def test_a_device_that_already_runs_the_image_is_a_success_without_a_chunk(device, publish):
    program = publish()
    offer = device.desired(start="now")
    sha256 = offer["payload"]["component"]["sha256"]
    device.report("confirmed", "already_running", n=offer["n"], slots=[slot("ota_0", "VALID", sha256)])
    assert program.wait() == 0
    assert last_line(program) == "kitchen runs 1.4.0 from ota_0, confirmed VALID (it already ran it)"
    assert not [topic for topic in device.arrived() if "/chunk/" in topic]


def test_an_ack_alone_ends_nothing(device, publish):
    program = publish()
    offer = device.take()
    device.ack("rolled_back", "deadline", n=offer["n"])
    program.expect("kitchen: rolled back")
    device.run_new(offer)
    assert program.wait() == 0


def test_the_offer_is_numbered_above_the_device_and_above_its_own_last(device, publish):
    device.report(n=41)
    first = publish()
    offer = device.take()
    assert offer["n"] == 42
    device.report("rejected", "wrong_project")
    assert first.wait() == 3
    device.report("idle", n=7, epoch="0badcafe")  # erased and provisioned anew
    second = publish()
    device.take(n=43)
    device.report("rejected", "wrong_project")
    assert second.wait() == 3


def test_an_offer_says_who_signed_what_and_where_it_comes_from(device, publish, otafleet):
    publish(
        "--attempt", "2", "--confirm-s", "45", "--hardware", "rev-b", "--hardware", "rev-c", "--floor", "9"
    )
    offer = device.desired(start="now")
    assert (offer["attempt"], offer["source"], offer["rollout"]) == (2, ["direct"], "")
    payload = offer["payload"]
    assert (payload["project"], payload["version"], payload["floor"]) == ("demo", "1.4.0", 9)
    assert (payload["confirm_s"], payload["hardware"]) == (45, ["rev-b", "rev-c"])
    assert manifest.split(offer["manifest"][0])[0] == json.loads(otafleet.ok("keys", "list", "--json"))["kid"]


def test_a_newer_offer_by_another_publisher_ends_this_one(device, publish):
    first = publish()
    device.take()
    second = publish()
    newer = device.desired(n=2)
    device.report("offered", n=newer["n"])
    assert first.wait() == 1
    assert last_line(first) == "kitchen follows a later offer (n 2, ours was 1)"
    device.run_new(newer)
    assert second.wait() == 0


def test_an_unknown_device_is_one_line_and_nothing_stays_on_the_broker(watch, publish):
    watcher = watch("fleet/#")
    program = publish()
    assert program.wait() == 1
    assert last_line(program).startswith(
        "otafleet: unknown device kitchen: none has ever reported by that id"
    )
    assert len(program.lines.items) == 1
    watcher.publish("fleet/fence", b"")
    watcher.messages.expect(lambda message: message.topic == "fleet/fence")
    assert [message.topic for message in watcher.messages.items] == ["fleet/fence"]


def test_an_error_before_the_offer_is_an_outcome_in_json_too(publish):
    program = publish("--json", "--project", "demo", "--broker", "mqtt://127.0.0.1:1")
    assert program.wait() == 6
    said = next(json.loads(line) for line in program.lines.items if line.startswith("{"))
    assert (said["event"], said["result"], said["exit_code"]) == ("outcome", "error", 6)
    assert f"otafleet: {said['message']}" in program.lines.items


def test_a_device_without_offer_numbers_left_is_one_line(device, publish):
    device.report(n=2**31 - 1)
    program = publish()
    assert program.wait() == 1
    assert last_line(program).startswith("otafleet: kitchen has no offer number left")


def test_ctrl_c_before_the_offer_leaves_nothing(watch, publish, broker):
    watcher = watch("fleet/#")
    program = publish()
    wait_for(lambda: "as otafleet-" in broker.log.read_text(), what="the publisher is connected")
    program.interrupt()
    assert program.wait() == 1
    assert last_line(program) == "otafleet: interrupted; nothing was offered"
    assert watcher.messages.items == []


def test_a_device_that_reports_nonsense_is_not_offered_anything(watch, publish):
    watcher = watch("fleet/#")
    watcher.publish("fleet/devices/kitchen/state", b'{"v":1,"phase":"\x1b[31mhappy"}', retain=True)
    program = publish()
    assert program.wait() == 1
    assert "reports a state that cannot be read (bad_report" in last_line(program)
    assert "\x1b" not in program.output
    assert not [message for message in watcher.messages.items if message.topic == DESIRED]


def test_a_device_of_another_protocol_version_is_not_offered_anything(device, publish):
    device.report(protocol=[2, 3])
    program = publish()
    assert program.wait() == 1
    assert last_line(program) == "otafleet: kitchen speaks protocol versions [2, 3]; this otafleet speaks 1"


def test_an_image_without_names_needs_the_options(device, publish, image_file):
    image_file.write_bytes(make_image(None, "", ""))
    program = publish()
    assert program.wait() == 2
    assert "give --project" in last_line(program)
    program = publish("--project", "demo")
    assert program.wait() == 2
    assert "give --version" in last_line(program)
    publish("--project", "demo", "--version", "7.0-rc1")
    payload = device.desired(start="now")["payload"]
    assert (payload["project"], payload["version"]) == ("demo", "7.0-rc1")


def test_padding_is_left_out_and_anything_else_behind_the_image_refused(device, publish, image_file):
    data = image_file.read_bytes()
    image_file.write_bytes(data + b"\xff" * 5000)
    program = publish()
    offer = device.take()
    assert offer["payload"]["component"]["size"] == len(data)
    program.expect("left out 5,000 bytes of 0xFF padding")
    image_file.write_bytes(data + b"\xff" * 5000 + b"x")
    program = publish()
    assert program.wait() == 1
    assert "goes on for 5,001 bytes after the end of the app image" in last_line(program)
