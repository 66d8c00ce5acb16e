"""mpremote, run as a program, on one serial port: it runs scripts on a board, and tells how each life of it ended."""

import re
import time
from pathlib import Path

from tests.support.paths import program
from tests.support.program import Program
from tests.support.waiting import wait_for

BEGIN = "esp32_ota test begins"
"""Printed by each script of ours before all else: what comes before is not for us."""
LIFE_S = 900
"""Seconds in which a script has to end, or to reset the board."""
BACK_S = 60
"""Seconds in which a board has to be back at its prompt after a reset."""
# The first line of the ROM after a reset (ESP32; newer chips), the banner of the prompt, or mpremote without its port.
_RESET = re.compile(
    r"ets [A-Z][a-z]{2} +\d|ESP-ROM:|rst:0x|MicroPython v\d|Traceback \(most recent call last\)"
)
# What mpremote, or pyserial under it, dies of when the port is gone.
_GONE = re.compile(r"^(OSError|serial\.serialutil\.SerialException|termios\.error)\b")
_BANNER = r"MicroPython v\d.* on \d{4}-\d\d-\d\d"


class BoardError(Exception):
    """The board can't be tested; the message is one line that says what to do."""


class Mpremote:
    """A board at its prompt."""

    def __init__(self, port):
        """Find mpremote and the port. Raises BoardError."""
        self.port = port
        try:
            self._program = program("mpremote")
        except FileNotFoundError:
            raise BoardError("mpremote is not installed: pip install '.[test]'") from None
        if not Path(port).exists():
            raise BoardError(f"there is no port {port}: is the board plugged in?")

    def life(self, *commands):
        """Run commands, the last of them a script, until it ends or the board is reset.

        What it has printed, and whether it came to its end. Raises BoardError when mpremote gives up, AssertionError
        when the script raises or takes too long.
        """
        with self._start(*commands) as running:
            try:
                running.expect(_BANNER, LIFE_S)
            except AssertionError:
                code = running.wait(5)
            else:
                return _printed(running.lines.items), False
        lines = running.lines.items
        if not code:
            return _printed(lines), True
        if lines and lines[-1].startswith("mpremote: "):
            raise BoardError(lines[-1])
        raised = any('File "<stdin>"' in line for line in lines)
        assert not raised and any(_GONE.search(line) for line in lines), "\n".join(lines)
        # The port has gone, and mpremote with it: the chip's own USB starts anew with the chip.
        self.come_back()
        return _printed(lines), False

    def come_back(self):
        """Wait until a board that was reset is at its prompt. Raises BoardError."""
        limit = time.monotonic() + BACK_S
        try:
            wait_for(lambda: Path(self.port).exists(), BACK_S)
        except AssertionError:
            raise BoardError(f"{self.port} did not come back after a reset: press the reset button") from None
        while True:
            with self._start("exec", "pass") as running:
                if running.wait(BACK_S) == 0:
                    return
            if time.monotonic() > limit:
                raise BoardError(
                    f"the board on {self.port} does not answer: press its reset button, try again"
                )

    def power_on(self):
        """Reset the board; it is at its prompt then."""
        finished = self.life("exec", "import machine, time; time.sleep_ms(100); machine.reset()")[1]
        assert not finished, "machine.reset() did not reset the board"

    def _start(self, *commands):
        return Program([self._program, "connect", self.port, "resume", *commands])


def _printed(lines):
    """What a script of ours has printed: up to a reset."""
    mine = lines[lines.index(BEGIN) + 1 :] if BEGIN in lines else []
    printed = []
    for line in mine:
        reset = _RESET.search(line)
        if reset is None:
            printed.append(line)
            continue
        if line[: reset.start()]:
            printed.append(line[: reset.start()])
        break
    return printed
