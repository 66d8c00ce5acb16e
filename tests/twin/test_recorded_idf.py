"""The bootloader and the OTA functions do what ESP-IDF 5.5.1's own did, flash operation by flash operation."""

import shutil

import pytest

from firmware.twin.bootloader import Bootloader
from firmware.twin.chips import chip
from firmware.twin.errors import EspError
from firmware.twin.flash import SECTOR, Flash
from firmware.twin.ota import Ota
from firmware.twin.partition_table import DEFAULT, OFFSET, Table, pack
from tests.twin.recorded import IMAGES, sequences

TABLE = Table(DEFAULT)
SLOTS = {row.label: row for row in TABLE}
OTADATA = SLOTS["otadata"].address
GROUPS = 8


class Recorder(Flash):
    """Lists operations as the recording does: [kind, address, bytes, operations], runs merged."""

    def __init__(self, folder):
        super().__init__(folder)
        self.seen = []

    def erase(self, address, size):
        self.seen.append(["E", address, size, 1])
        super().erase(address, size)

    def program(self, address, data):
        self.seen.append(["W", address, len(data), 1])
        super().program(address, data)


class Bench:
    """One device of the recording, and what the recording says was done to it."""

    def __init__(self, folder, target):
        folder.mkdir()
        Flash.create(folder)
        self.flash = Recorder(folder)
        self.flash.load(OFFSET, pack(DEFAULT))
        self.chip = chip(target)
        self.running = SLOTS["ota_0"]

    def records(self):
        return " ".join(self.flash.read(OTADATA + i * SECTOR, 32).hex() for i in (0, 1))

    def do(self, step):
        """Carry a step out; the answer in the recording's terms, None where another part is asked."""
        self.flash.seen.clear()
        before = self.records()
        answer = getattr(self, "op_" + step["op"], self.replay)(step)
        if answer is not None:
            if self.flash.seen:
                answer["flash"] = list(self.flash.seen)
            if self.records() != before:
                answer["otadata"] = self.records()
        return answer

    def op_flash(self, step):
        slot = SLOTS[step["slot"]]
        self.flash.load(slot.address, IMAGES[step["image"]].ljust(slot.size, b"\xff"))

    def op_flip(self, step):
        address = SLOTS[step["slot"]].address + step["offset"]
        self.flash.load(address, bytes((self.flash.read(address, 1)[0] ^ 1 << step["bit"],)))

    def op_reset(self, step):
        booted = Bootloader(self.flash, self.chip, rollback=True, log=lambda _: None).run()
        self.running = booted.slot
        boot = self.ota().boot()
        return {"r": "ok", "offset": booted.slot.address, "running": booted.slot.label, "boot": boot.label}

    def op_set_boot(self, step):
        return self.call(lambda: self.ota().set_boot(SLOTS[step["slot"]]))

    def op_mark_app_valid_cancel_rollback(self, step):
        return self.call(lambda: self.ota().mark_valid())

    def op_get_next_update(self, step):
        return {"r": "ESP_OK", "value": self.ota().next_update(self.running).label}

    def ota(self):
        return Ota(self.flash, self.chip, TABLE, self.running)

    @staticmethod
    def call(function):
        try:
            function()
        except EspError as error:
            return {"r": error.name}
        return {"r": "ESP_OK"}

    def replay(self, step):
        """A call that the stock API doesn't have: only its effect, as the recording tells it."""
        for kind, address, size, _ in step.get("flash", ()):
            if kind == "E":
                self.flash.erase(address, size)
            elif OTADATA <= address < OTADATA + 2 * SECTOR:
                record = step["otadata"].split()[(address - OTADATA) // SECTOR]
                self.flash.program(address, bytes.fromhex(record))
            else:
                self.flash.program(address, IMAGES[step["image"]][step["from"] :][:size])


@pytest.mark.parametrize("group", range(GROUPS))
def test_resets_and_otadata_are_those_of_esp_idf(tmp_path, group):
    for sequence in sequences("esp-idf-5.5.1.jsonl.gz")[group::GROUPS]:
        bench = Bench(tmp_path / str(sequence["seed"]), sequence["target"])
        for number, step in enumerate(sequence["steps"]):
            answer = bench.do(step)
            if answer is not None:
                recorded = {
                    k: v
                    for k, v in step.items()
                    if k in {"r", "value", "flash", "otadata", "offset", "running", "boot"}
                }
                assert answer == recorded, (sequence["seed"], number, step)
        bench.flash.close()
        shutil.rmtree(tmp_path / str(sequence["seed"]))
