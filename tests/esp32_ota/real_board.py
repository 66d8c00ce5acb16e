"""A real board on a serial port, with the operations of tests/esp32_ota/board.py.

It runs its own firmware, in ota_0; where a test boots another app, ota_1 has a copy. The slot that runs is never
written, so one of the two is whole at any time. Calls are made after a reset, where a twin is switched on.
"""

import hashlib
import json
import tempfile
from pathlib import Path

from agent.esp32_ota import image
from tests.esp32_ota import parcel
from tests.esp32_ota.board import MAIN
from tests.esp32_ota.mpremote import BEGIN, BoardError
from tests.support.images import LAYOUTS
from tests.support.paths import ROOT

FOLDER = "/esp32_ota_tests"
"""Everything that the tests put on the board's file system."""
OLDEST = (1, 22)
_BENCH = ROOT / "tests" / "esp32_ota" / "on_device" / "bench.py"
_SETTLE_MS = 100
"""What the board has printed needs some time to leave it, before it may be reset."""
_PRELUDE = f"""
import os, sys
try:
    os.mkdir("{FOLDER}")
except OSError:
    pass
os.chdir("{FOLDER}")
if "{FOLDER}" not in sys.path:
    sys.path[:0] = ["{FOLDER}", "{FOLDER}/lib"]
"""
_LOOK = f"""
import json, os, sys
print("{BEGIN}")
def text(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
facts = {{"version": list(sys.implementation.version[:2]), "programs": [text("/boot.py"), text("/main.py")]}}
try:
    from esp32 import Partition
    found = Partition.find(Partition.TYPE_APP) + Partition.find(Partition.TYPE_DATA)
    facts["table"] = [list(part.info()[:5]) for part in found]
    facts["running"] = Partition(Partition.RUNNING).info()[4]
    head = bytearray(16)
    Partition(Partition.RUNNING).readblocks(0, head, 0)
    facts["chip"] = head[12] | head[13] << 8
except ImportError:
    pass
print("ANSWER", json.dumps(facts))
"""


def refusal(facts):
    """Why a board can't be tested, as a line that says what to do, or None."""
    version, slots = tuple(facts["version"]), _slots(facts.get("table", ()))
    if "table" not in facts:
        return "this MicroPython has no esp32.Partition: the tests need an ESP32"
    if version < OLDEST:
        return f"the board runs MicroPython {version[0]}.{version[1]}: the tests need 1.22 or newer"
    if slots != ["ota_0", "ota_1"]:
        had = ", ".join(slots) or "none"
        return (
            f"the tests need the app partitions ota_0 and ota_1 alone, the board has {had} (docs/boards.md)"
        )
    if facts["running"] not in slots:
        return "the app does not run from an OTA slot"
    if image.chip_name(facts["chip"]) not in LAYOUTS:
        return f"the tests have images for {', '.join(LAYOUTS)} only"
    for name, text in zip(("boot.py", "main.py"), facts["programs"], strict=True):
        if any(line.strip() and not line.strip().startswith("#") for line in text.splitlines()):
            return f"the board's /{name} would run between the calls: move it away for the tests"
    return None


def _slots(table):
    return [label for kind, _, _, _, label in table if kind == 0]


class RealBoard:
    """A board that was looked at; `settle` comes before all else."""

    def __init__(self, mpremote):
        """Look at the board. Raises BoardError when it can't be tested."""
        self._mpremote = mpremote
        try:
            lines, _ = mpremote.life("exec", _LOOK)
            facts = _answers(lines)[0]
        except (AssertionError, IndexError):
            raise BoardError(
                f"no MicroPython answers on {mpremote.port}: press the board's reset button"
            ) from None
        reason = refusal(facts)
        if reason:
            raise BoardError(f"{mpremote.port}: {reason}")
        self.chip = image.chip_name(facts["chip"])
        self.address = {label: address for _, _, address, _, label in facts["table"]}
        """Where each partition begins."""
        self.slot_size = next(size for _, _, _, size, label in facts["table"] if label == "ota_1")
        self._there = {}
        self._parcels = []

    def settle(self):
        """Bring our files, and see that the app runs from ota_0. Raises BoardError."""
        self._mpremote.power_on()
        self._send({f"lib/esp32_ota/{path.name}": path.read_bytes() for path in _package()})
        self._send({"lib/bench.py": _BENCH.read_bytes()})
        self._until_home("come_home()")
        self.app_size = self._bench("app_size()")
        """Length in bytes of the app that runs."""

    def leave(self):
        """Leave the board on its own firmware, in ota_0, without our files."""
        self._until_home("come_home()")
        self._mpremote.power_on()
        self._bench(f'clean("{FOLDER}")')

    def prepare(self, images, slots):
        """Make it as a new board: ota_0 runs and is VALID, ota_1 is blank, or has the same app where `slots` names it.

        `images` by name lie on its file system.
        """
        self._send({f"images/{name}.bin": data for name, data in images.items()})
        self._until_home(f"prepare({'ota_1' in slots})")
        return self

    def put(self, path, data):
        """Put a file where a program on the board finds it at `path`."""
        self._send({path: data})

    def load(self, address, data):
        """Put bytes into flash, anywhere but where the app runs."""
        self._send({"load.bin": data})
        self._bench(f'load({address}, "load.bin")')

    def read(self, address, size):
        """What lies in flash."""
        return bytes.fromhex(self._bench(f"read({address}, {size})"))

    def holds(self, address, data):
        """Whether these bytes lie in flash."""
        return self._bench(f"digest({address}, {len(data)})") == hashlib.sha256(data).hexdigest()

    def check_erases(self, label, wanted):
        """Nothing: only a twin counts how often it was erased."""

    def call(self, steps):
        """Reset, make the calls in order; the answers: r, value, code, otadata."""
        slow = [{**step, "settle": _SETTLE_MS} for step in steps]
        self._there.pop("at", None)  # the board itself writes that file
        self._send({"steps.jsonl": "".join(json.dumps(step) + "\n" for step in slow).encode(), "at": b"0 0"})
        lines = self.run(MAIN.read_text(), resets=len(steps) + 1)
        answers = _answers(lines)
        assert len(answers) == len(steps), "\n".join(lines)
        return answers

    def run(self, script, *, resets=0):
        """Reset, run `script` until it prints END, again after every reset; what it has printed before that."""
        self._mpremote.power_on()
        lines = []
        for _ in range(resets + 1):
            printed, finished = self._run(script)
            lines += printed
            if finished:
                break
        assert "END" in lines, "\n".join(lines)
        return lines[: lines.index("END")]

    def _until_home(self, expression):
        if not self._bench(expression):
            self._mpremote.power_on()
            assert self._bench(expression), "the board does not start from ota_0"

    def _run(self, script):
        """One life of a script, behind those that bring the files that it needs, in one call of mpremote."""
        parcels, self._parcels = self._parcels, []
        with tempfile.TemporaryDirectory() as folder:
            commands = []
            for number, text in enumerate([_PRELUDE, *parcels, f'print("{BEGIN}")\n{script}']):
                path = Path(folder) / f"{number}.py"
                path.write_text(text)
                commands += ["+", "run", str(path)]
            return self._mpremote.life(*commands[1:])

    def _bench(self, expression):
        """What an expression of bench.py comes to."""
        script = f'import json\nfrom bench import *\nprint("ANSWER", json.dumps({expression}))\n'
        lines, finished = self._run(script)
        assert finished, f"the board was reset by {expression}"
        return _answers(lines)[0]

    def _send(self, files):
        """Have the next script find files; those that are there already are not sent again."""
        new = {path: data for path, data in files.items() if self._there.get(path) != data}
        if new:
            self._parcels += parcel.scripts(new)
            self._there.update(new)


def _package():
    return (ROOT / "agent" / "esp32_ota").glob("*.py")


def _answers(lines):
    return [json.loads(line[7:]) for line in lines if line.startswith("ANSWER ")]
