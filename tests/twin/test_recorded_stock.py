"""Every answer of the recorded stock MicroPython 1.28 comes back from the twin, on a real MicroPython."""

import dataclasses
import json
import shutil

import pytest

from firmware.twin import Bootloader, Twin
from tests.twin.recorded import DEVICE, IMAGES, sequences

RECORDING = "micropython-1.28-stock.jsonl.gz"
GROUPS = 10


class Pinned(Bootloader):
    """Starts what it should, but says that it was ota_0.

    The recorder ran ESP-IDF in one process over all resets of a sequence, and ESP-IDF remembers in a static
    variable what is running: where its bootloader went to ota_1 (79 of 1,199 resets), RUNNING went on to be
    ota_0, and ota_1 could be written. A chip forgets at reset. To compare these answers too, the twin is
    made to make the recorder's mistake.
    """

    def run(self, retained=None):
        booted = super().run(retained)
        return dataclasses.replace(booted, slot=booted.table.slots[0])


class Witness(Bootloader):
    """Writes down where it went."""

    def run(self, retained=None):
        booted = super().run(retained)
        self.went.append(booted.slot.address)
        return booted


def replay(folder, steps, monkeypatch):
    """Run one sequence on a new twin: (steps it judged, its differences, where the bootloader went)."""
    resets = [step["value"] for step in steps if step["op"] == "reset"]
    went = []
    bases = (Witness,) if set(resets) == {0x10000} else (Pinned, Witness)
    monkeypatch.setattr("firmware.twin.device.Bootloader", type("Replayed", bases, {"went": went}))
    files = {f"images/{name}.bin": data for name, data in IMAGES.items()}
    files["main.py"] = (DEVICE / "replay.py").read_bytes()
    files["steps.jsonl"] = "".join(json.dumps(step) + "\n" for step in steps).encode()
    Twin.create(folder, IMAGES["b13k"], files=files).close()
    lines = []

    def log(line):
        lines.append(line)
        if line.startswith(("END", "Traceback")):
            twin.stop()

    twin = Twin(folder, heap="2M", log=log)
    twin.boot_s = 0
    twin.run(resets=len(resets))
    twin.close()
    shutil.rmtree(folder)
    judged = sum(int(line.split()[1]) for line in lines if line.startswith(("STEPS", "END")))
    return judged, [line for line in lines if line.startswith(("DIFFERENT", "Traceback"))], went


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_recorded_answer_of_stock_micropython_comes_back(tmp_path, monkeypatch, group):
    for sequence in sequences(RECORDING)[group::GROUPS]:
        steps = sequence["steps"]
        judged, different, went = replay(tmp_path / str(sequence["seed"]), steps, monkeypatch)
        assert not different
        assert judged == len(steps)
        assert went == [step["value"] for step in steps if step["op"] == "reset"]


def test_the_recording_is_whole():
    assert len(sequences(RECORDING)) == 200
    assert sum(len(sequence["steps"]) for sequence in sequences(RECORDING)) == 21_590
