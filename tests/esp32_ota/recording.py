"""ESP-IDF 5.5.1's recorded answers as calls for a device: what each has to come to, and what then lies in flash.

Where we differ from ESP-IDF on purpose (DIFFERENCES), the call has to come to what we say instead. Directly behind it
the programmer brings flash to what the recording says, so that every later call starts from there again.
"""

import gzip
import json
import zlib
from collections import Counter
from itertools import islice
from typing import NamedTuple

from agent.esp32_ota import otadata
from tests.esp32_ota.board import OTADATA, SECTOR, SLOT
from tests.support.paths import ROOT

RECORDED = ROOT / "tests" / "vectors" / "recorded"
IMAGES = {path.stem: path.read_bytes() for path in sorted((RECORDED / "images").glob("*.bin"))}
# The sectors of the two records.
RECORDS = (OTADATA // SECTOR, OTADATA // SECTOR + 1)
PARTITIONS = {"otadata": OTADATA, **SLOT}
BLANK = b"\xff" * SECTOR
STATES = {"NEW": 0, "PENDING_VERIFY": 1, "VALID": 2, "INVALID": 3, "ABORTED": 4, "UNDEFINED": -1}
WRITES = {"ota_write", "ota_write_with_offset"}
VALUES = {"app_description", "check_rollback_is_possible", "get_next_update"}
# What a step says beside the call itself.
OUTCOME = {"r", "value", "flash", "otadata", "running", "boot"}

AS_IDF = "as ESP-IDF"
PROGRAMMED = "put into flash by the programmer of the recording"
RESTORED = "flash brought to what the recording says"


class Difference(NamedTuple):
    """How many steps of the whole recording it meets, and why we want it."""

    steps: int
    why: str


BEGIN = "begin on the slot that boots next"
CONFIRM = "confirming an app that does not run"
OFFSET = "an offset on a sequential handle"
APPEND = "ota_write behind an offset on a sequential handle"
DIFFERENCES = {
    BEGIN: Difference(
        629,
        why="ota_begin erases the active record too where it names the slot: the next set_boot would otherwise "
        "overwrite the record of the running slot",
    ),
    CONFIRM: Difference(
        220,
        why="mark_app_valid_cancel_rollback raises ESP_ERR_INVALID_STATE where the active record names another slot "
        "than the running one",
    ),
    OFFSET: Difference(
        26,
        why="each sector is erased before its first write; ESP-IDF programs flash that was not erased, and says "
        "nothing",
    ),
    APPEND: Difference(
        1,
        why="the same: ESP-IDF goes on behind the count of bytes, within a sector that nothing was written to, and "
        "erases from the next edge on",
    ),
}
"""Where a recorded call comes to something else with us."""


def sequences(first=0, step=1):
    """The recorded sequences, or every n-th of them: seed, target and steps (see vectors/recorded/README.md)."""
    with gzip.open(RECORDED / "esp-idf-5.5.1.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in islice(file, first, None, step)]


def sectors(address, size):
    """The numbers of the sectors that a range of flash touches."""
    return range(address // SECTOR, (address + size + SECTOR - 1) // SECTOR)


def part(step):
    """The bytes that a step writes."""
    return IMAGES[step["image"]][step["from"] :][: step["len"]]


def written(at, data, before):
    """The sectors that a write touches, as it leaves them: bits only go from 1 to 0. `before` tells what one held."""
    numbers = sectors(at, len(data))
    old = b"".join(before(number) for number in numbers)
    start = at - numbers[0] * SECTOR
    stop = start + len(data)
    new = int.from_bytes(data, "little") & int.from_bytes(old[start:stop], "little")
    new = old[:start] + new.to_bytes(len(data), "little") + old[stop:]
    return {number: new[n * SECTOR :][:SECTOR] for n, number in enumerate(numbers)}


def written_at(step):
    """Where in flash a write went that went well."""
    (at,) = [at for kind, at, _, _ in step["flash"] if kind == "W"]
    return at


def place(number):
    """The partition that a sector of flash lies in, by its label, and which of its sectors it is."""
    at = number * SECTOR
    label = max((label for label in PARTITIONS if PARTITIONS[label] <= at), key=PARTITIONS.get)
    return label, (at - PARTITIONS[label]) // SECTOR


def names(record, slot):
    """Whether a record of otadata has a right CRC and stands for this slot."""
    parsed = otadata.parse(record)
    return otadata.is_sound(parsed) and f"ota_{otadata.slot_of(parsed, len(SLOT))}" == slot


class Call(NamedTuple):
    """A step for the device, what its answer has to contain, and AS_IDF, PROGRAMMED, RESTORED or a difference."""

    step: dict
    wanted: dict
    kind: str


class Ours(NamedTuple):
    """What a call does with us: its difference, if any, the sectors that end up with another content than in the
    recording, and every sector that is erased."""

    difference: str | None
    contents: dict
    erased: list


class Handle:
    """An update under way: whether offsets were used, and the sectors that ours has erased on demand."""

    def __init__(self, begin):
        self.on_demand = begin["size"] == -2
        self.mixed = False
        self.erased = set()


class Replay:
    """One recorded sequence: `slots` (the image in each at power-on), `calls`, and what they leave behind: `flash`
    (each sector that is not blank, by its number) and `erases` (how often the device has erased each)."""

    def __init__(self, sequence):
        self.slots = {}
        self.calls = []
        self.flash = {}
        self.erases = Counter()
        self._running = None
        self._handles = {}
        self._rules = {
            "ota_begin": self._begin,
            "mark_app_valid_cancel_rollback": self._confirm,
            "ota_write": self._write,
            "ota_write_with_offset": self._write,
            "flip": self._flip,
        }
        for step in sequence["steps"]:
            if self._running is None and step["op"] == "flash":
                self.slots[step["slot"]] = step["image"]
                self.flash.update(written(SLOT[step["slot"]], IMAGES[step["image"]], self.sector))
            else:
                self._follow(step)

    def sector(self, number):
        """What the recording says lies in a sector of flash."""
        return self.flash.get(number, BLANK)

    def _follow(self, step):
        recorded = [
            n for kind, at, size, _ in step.get("flash", ()) if kind == "E" for n in sectors(at, size)
        ]
        rule = self._rules.get(step["op"])
        ours = (rule and rule(step, recorded)) or Ours(None, {}, recorded)
        self._apply(step)
        self.erases.update(ours.erased)
        wanted = self._wanted(step, ours)
        kind = PROGRAMMED if step["op"] == "flip" else ours.difference or AS_IDF
        call = {key: step[key] for key in step if key not in OUTCOME}
        if step["op"] in WRITES and step["r"] == "ESP_OK":
            touched = sectors(written_at(step), step["len"])
            call["look"] = [*place(touched[0]), len(touched)]
            wanted["crc"] = zlib.crc32(b"".join(ours.contents.get(n, self.sector(n)) for n in touched))
        self.calls.append(Call(call, wanted, kind))
        for number, content in ours.contents.items():
            if content != self.sector(number):
                self._restore(number)

    def _begin(self, step, recorded):
        """ota_begin first erases every record of the slot, the active one too."""
        if step["r"] != "ESP_OK":
            return None
        self._handles[step["handle"]] = Handle(step)
        if self._active() != step["slot"]:
            return None
        after = self._records(step)
        named = {
            number: BLANK
            for number, record in zip(RECORDS, after, strict=True)
            if names(record, step["slot"])
        }
        return Ours(BEGIN, named, recorded + list(named))

    def _confirm(self, step, recorded):
        """mark_app_valid_cancel_rollback leaves a record alone that does not name the running slot."""
        if step["r"] != "ESP_OK" or self._active() == self._running:
            return None
        return Ours(CONFIRM, {number: self.sector(number) for number in recorded}, [])

    def _write(self, step, recorded):
        """A write through a sequential handle erases the sectors that the handle has not written to before."""
        handle = self._handles.get(step["handle"])
        if step["r"] != "ESP_OK" or not handle.on_demand:
            return None
        offset = step["op"] == "ota_write_with_offset"
        handle.mixed = handle.mixed or offset
        touched = sectors(written_at(step), step["len"])
        fresh = [number for number in touched if number not in handle.erased]
        handle.erased.update(touched)
        # ESP-IDF erases nothing for an offset, and behind one it may go on within a sector that it did not erase.
        missed = fresh if offset else fresh[:1]
        if not missed or not handle.mixed or recorded != fresh[len(missed) :]:
            return None
        contents = written(
            written_at(step), part(step), lambda number: BLANK if number in fresh else self.sector(number)
        )
        return Ours(OFFSET if offset else APPEND, contents, fresh)

    def _flip(self, step, _):
        """The programmer on the device erases and writes a whole sector to turn one bit."""
        return Ours(None, {}, [(SLOT[step["slot"]] + step["offset"]) // SECTOR])

    def _apply(self, step):
        # Of the records it is only known how they end up.
        records = self._records(step)
        for kind, at, size, _ in step.get("flash", ()):
            if kind == "E":
                for number in sectors(at, size):
                    self.flash.pop(number, None)
            elif step["op"] in WRITES:
                self.flash.update(written(at, part(step), self.sector))
        self.flash.update(zip(RECORDS, (record + BLANK[len(record) :] for record in records), strict=True))
        if step["op"] == "flip":
            number = SLOT[step["slot"]] // SECTOR + step["offset"] // SECTOR
            content = bytearray(self.sector(number))
            content[step["offset"] % SECTOR] ^= 1 << step["bit"]
            self.flash[number] = bytes(content)
        elif step["op"] == "reset":
            self._running = step["running"]

    def _wanted(self, step, ours):
        if step.get("r") == "esp_restart()":
            # The device can say so only after the boot, when the bootloader has been at the records.
            return {"r": "esp_restart()"}
        records = [
            ours.contents.get(number, self.sector(number))[: otadata.RECORD_SIZE] for number in RECORDS
        ]
        wanted = {"r": step.get("r", "ESP_OK"), "otadata": " ".join(record.hex() for record in records)}
        if ours.difference == CONFIRM:
            wanted["r"] = "ESP_ERR_INVALID_STATE"
        elif step["op"] == "reset":
            wanted.update(r="ESP_OK", value=[step["running"], step["boot"]])
        elif step["op"] == "app_state" and step["value"]:
            wanted["value"] = STATES[step["value"]]
        elif step["op"] in VALUES and step["value"] is not None:
            wanted["value"] = step["value"]
        return wanted

    def _restore(self, number):
        slot, n = place(number)
        step = {"op": "program", "slot": slot, "n": n, "bytes": self.sector(number).hex()}
        self.calls.append(Call(step, {"r": "ESP_OK"}, RESTORED))
        self.erases[number] += 1

    def _active(self):
        """The label of the slot that the active record names, or None."""
        parsed = [otadata.parse(record) for record in self._records({})]
        active = otadata.active(parsed)
        return None if active < 0 else f"ota_{otadata.slot_of(parsed[active], len(SLOT))}"

    def _records(self, step):
        """Both records as they are behind a step."""
        if "otadata" in step:
            return [bytes.fromhex(record) for record in step["otadata"].split()]
        return [self.sector(number)[: otadata.RECORD_SIZE] for number in RECORDS]
