"""What ESP-IDF 5.5.1's own code answered and did to flash, our Partition answers and does on the twin.

Each recorded sequence is followed up to the first call where we differ on purpose (DIFFERENCES says where and why).
"""

import gzip
import json
from collections import Counter

import pytest

from agent.esp32_ota import otadata
from tests.esp32_ota.board import OTADATA, SECTOR, SLOT, SLOT_SIZE, Board
from tests.support.paths import ROOT

RECORDED = ROOT / "tests" / "vectors" / "recorded"
IMAGES = {path.stem: path.read_bytes() for path in sorted((RECORDED / "images").glob("*.bin"))}
STATES = {"NEW": 0, "PENDING_VERIFY": 1, "VALID": 2, "INVALID": 3, "ABORTED": 4, "UNDEFINED": -1}
BLANK = " ".join(["ff" * 32] * 2)
GROUPS = 32


def sequences():
    with gzip.open(RECORDED / "esp-idf-5.5.1.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def active_slot(records):
    parsed = [otadata.parse(bytes.fromhex(record)) for record in records.split()]
    active = otadata.active(parsed)
    return None if active < 0 else f"ota_{otadata.slot_of(parsed[active], 2)}"


DIFFERENCES = {
    "begin on the slot that boots next": "ota_begin erases the active record too where it names the slot: the next "
    "set_boot would otherwise overwrite the record of the running slot",
    "confirming an app that does not run": "mark_app_valid_cancel_rollback raises ESP_ERR_INVALID_STATE where the "
    "active record names another slot than the running one",
    "an offset on a sequential handle": "each sector is erased before its first write; ESP-IDF programs flash that "
    "was not erased, and says nothing",
}
"""Where a recorded sequence cannot be followed further, and why."""


def difference(step, running, records, sequential):
    """The name of the difference that this step meets, or None."""
    op = step["op"]
    named = active_slot(records)
    if op == "ota_begin" and step["r"] == "ESP_OK" and named == step["slot"]:
        return "begin on the slot that boots next"
    if op == "mark_app_valid_cancel_rollback" and step["r"] == "ESP_OK" and named != running:
        return "confirming an app that does not run"
    if op == "ota_write_with_offset" and step["handle"] in sequential:
        return "an offset on a sequential handle"
    return None


def judged(sequence):
    """What is in the slots at power-on, the steps up to the first difference, each with its otadata, and its name."""
    slots = {}
    steps = []
    running = None
    records = BLANK
    sequential = set()
    for step in sequence["steps"]:
        op = step["op"]
        if running is None and op == "flash":
            slots[step["slot"]] = step["image"]
            continue
        met = difference(step, running, records, sequential)
        if met:
            return slots, steps, met
        if op == "ota_begin" and step["r"] == "ESP_OK" and step["size"] == -2:
            sequential.add(step["handle"])
        running = step.get("running", running)
        records = step.get("otadata", records)
        steps.append({**step, "otadata": records})
    return slots, steps, None


def expected(step):
    """What the device has to answer."""
    op = step["op"]
    if step.get("r") == "esp_restart()":
        # The device can say so only after the boot, when the bootloader has been at the records.
        return {"r": "esp_restart()"}
    answer = {"r": step.get("r", "ESP_OK").replace("ok", "ESP_OK"), "otadata": step["otadata"]}
    if op == "reset":
        answer["value"] = [step["running"], step["boot"]]
    elif op == "app_state" and step["value"]:
        answer["value"] = STATES[step["value"]]
    elif (
        op in {"app_description", "check_rollback_is_possible", "get_next_update"}
        and step["value"] is not None
    ):
        answer["value"] = step["value"]
    return answer


def erased(steps):
    """How often each sector was erased, and the sectors that the programmer touched."""
    counts = Counter()
    programmed = set()
    for step in steps:
        for kind, address, size, _ in step.get("flash", ()):
            if kind == "E":
                counts.update(range(address // SECTOR, (address + size) // SECTOR))
        if step["op"] in {"flash", "flip"}:
            first = (SLOT[step["slot"]] + step.get("offset", 0)) // SECTOR
            programmed.update(range(first, first + (SLOT_SIZE // SECTOR if step["op"] == "flash" else 1)))
    return counts, programmed


def replay(folder, sequence):
    slots, steps, _ = judged(sequence)
    board = Board(folder, IMAGES, slots, chip=sequence["target"])
    for number, (step, answer) in enumerate(zip(steps, board.call(steps), strict=True)):
        wanted = expected(step)
        assert {key: answer.get(key) for key in wanted} == wanted, (sequence["seed"], number, step)
    counts, programmed = erased(steps)
    for sector in {*range(OTADATA // SECTOR, OTADATA // SECTOR + 2), *range(16, 784)} - programmed:
        assert board.counts[sector].erases == counts[sector], (sequence["seed"], hex(sector * SECTOR))
    return len(steps)


@pytest.mark.parametrize("group", range(GROUPS))
def test_recorded_calls_answer_and_erase_as_esp_idf_did(tmp_path, group):
    for sequence in sequences()[group::GROUPS]:
        replay(tmp_path / str(sequence["seed"]), sequence)


def test_most_of_the_recording_is_within_reach():
    whole = sequences()
    assert sum(len(sequence["steps"]) for sequence in whole) == 36_235
    assert sum(len(judged(sequence)[1]) for sequence in whole) > 25_000


def test_every_difference_is_in_the_recording():
    assert {judged(sequence)[2] for sequence in sequences()} == {None, *DIFFERENCES}
