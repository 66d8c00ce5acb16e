"""A device that makes calls of esp32_ota and says what came of them. Here it is a twin; real_board.py has a real one.

Where flash is concerned, both take addresses: a test asks the board for them (`address`, `slot_size`).
"""

import json

from firmware.twin import Twin, partition_table
from tests.support.paths import ROOT

MAIN = ROOT / "tests" / "esp32_ota" / "on_device" / "calls.py"
# Where the table of a twin puts the slots and the records (esp32-ota partitions-4MiB-ota.csv).
SLOT = {"ota_0": 0x10000, "ota_1": 0x190000}
SLOT_SIZE = 0x180000
OTADATA = 0xD000
SECTOR = 4096


class Board:
    """A twin with esp32_ota alone in its /lib, so that nothing else of the agent can be needed."""

    def __init__(self, folder, images, slots, chip="esp32", table=partition_table.DEFAULT, **options):
        """`images` by name lie on the device's file system; `slots` names the ones that lie in ota_0 and ota_1."""
        self.folder = folder
        files = {f"images/{name}.bin": data for name, data in images.items()}
        libs = {"esp32_ota": ROOT / "agent" / "esp32_ota"}
        twin = Twin.create(folder, b"", chip=chip, files=files, libs=libs, **options)
        # Loaded here: a twin as it leaves the bench has an OTA slot, some of these tables have none.
        twin.flash.load(partition_table.OFFSET, partition_table.pack(table))
        for label, name in slots.items():
            twin.flash.load(SLOT[label], images[name])
        twin.close()
        self.address = {row.label: row.address for row in table}
        """Where each partition begins."""
        self.slot_size = next((row.size for row in table if row.label == "ota_1"), 0)
        self.app_size = len(images[slots["ota_0"]]) if "ota_0" in slots else 0
        """Length in bytes of the app that runs at first, which can be written from the image "running"."""

    def put(self, path, data):
        """Put a file where a program on the device finds it at `path`."""
        (self.folder / "vfs" / path).write_bytes(data)

    def load(self, address, data):
        """Put bytes into flash as a programmer on the bench does."""
        twin = Twin(self.folder)
        twin.flash.load(address, data)
        twin.close()

    def read(self, address, size):
        """What lies in flash."""
        twin = Twin(self.folder)
        try:
            return twin.flash.read(address, size)
        finally:
            twin.close()

    def holds(self, address, data):
        """Whether these bytes lie in flash."""
        return self.read(address, len(data)) == data

    def check_erases(self, label, wanted):
        """Hold how often sectors were erased, each by its number in a partition, against `wanted`."""
        first = self.address[label] // SECTOR
        assert {n: self.counts[first + n].erases for n in wanted} == wanted

    def call(self, steps):
        """Power on, make the calls in order, power off; the answers: r, value, code, otadata."""
        vfs = self.folder / "vfs"
        (vfs / "steps.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
        (vfs / "at").unlink(missing_ok=True)
        lines = self.run(MAIN.read_text(), resets=len(steps) + 1)
        answers = [json.loads(line[7:]) for line in lines if line.startswith("ANSWER ")]
        assert len(answers) == len(steps), "\n".join(lines)
        return answers

    def run(self, script, *, heap="128k", resets=0):
        """Power on with `script` as main.py until it prints END, power off; what it has printed before that."""
        (self.folder / "vfs" / "main.py").write_text(script)
        lines = []

        def log(line):
            lines.append(line)
            if line == "END" or line.startswith("Traceback"):
                twin.stop()

        twin = Twin(self.folder, heap=heap, log=log)
        twin.boot_s = 0
        try:
            twin.run(resets=resets)
            self.counts = twin.sector_counts()
        finally:
            twin.close()
        assert "END" in lines, "\n".join(lines)
        return [line for line in lines[: lines.index("END")] if not line.startswith("---")]
