"""A twin at its prompt: MicroPython with the modules of the chip on a serial port that is not there.

Its app is a REPL, as the app of a board with MicroPython is. A reset ends what runs, and the bootloader chooses anew;
the port tells it as it does on a board, see `Link`.
"""

import os
import queue
import threading
from collections.abc import Iterable
from enum import Enum, auto
from pathlib import Path
from typing import Final

from firmware.twin import Twin, make_image
from firmware.twin.partition_table import DEFAULT, Partition
from tests.support.repl_port import ReplPort

# Reads a length and a program, runs it, and prints what the raw REPL prints after it, and the end of the line, because
# a twin hands on whole lines.
_REPL: Final = b"""
names = {"__name__": "__main__"}
port = open("/.app/port", "rb")
print("\\x04>")
while True:
    size = int(port.readline())
    if not size:
        raise SystemExit
    program = port.read(size)
    error = None
    try:
        exec(compile(program, "<stdin>", "exec"), names)
    except BaseException as raised:
        error = raised
    print("\\x04", end="")
    if error:
        import sys
        sys.print_exception(error)
    print("\\x04>")
"""
_AT_PROMPT: Final = "\x04>"
_ROM: Final = b"ets Jul 29 2019 12:21:46\r\n\r\nrst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"


class Link(Enum):
    """How the chip hangs on the computer."""

    BRIDGE = auto()
    """Behind another chip that turns serial into USB: the port stays, and shows what the ROM prints after a reset."""
    USB = auto()
    """By USB of its own: after a reset the port is gone, and comes back."""


class TwinOnPort(ReplPort):
    """A context manager; `port` is the path that a command is given, `folder` holds the twin.

    :param rollback: whether its bootloader rolls back
    """

    def __init__(
        self,
        folder: Path,
        link: Link = Link.BRIDGE,
        *,
        rollback: bool = True,
        table: Iterable[Partition] = DEFAULT,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.port = folder / "port"
        self._link = link
        app = make_image(_REPL, "repl", "1.28", size=100_000)
        files = {"boot.py": b"# This file is executed on every boot\n"}
        Twin.create(folder, app, files=files, rollback=rollback, table=table).close()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        # Where the app has its program too: not among the device's files.
        (folder / "app").mkdir()
        os.mkfifo(folder / "app" / "port")
        self._programs = os.open(folder / "app" / "port", os.O_RDWR)
        self._is_soft = False
        self._is_up = False
        self._twin = Twin(folder, log=self._hear)
        self._twin.boot_s = 0
        self._show()
        self._power = threading.Thread(target=self._twin.run, daemon=True)
        self._power.start()

    def execute(self, program: bytes) -> None:
        """Give it to the app; what it prints comes as lines."""
        self._write(program)

    def restart(self) -> None:
        """Have the app end: a soft reset."""
        self._is_soft = True
        self.send(b"OK\r\nMPY: soft reboot\r\n")
        self._write(b"")

    def events(self) -> None:
        """Look at the lines that the twin has printed."""
        while not self._lines.empty():
            self._line(self._lines.get())

    def end(self) -> None:
        """Pull the plug."""
        self._twin.stop()
        self._power.join(10)
        self._twin.close()
        os.close(self._programs)

    def _write(self, program: bytes) -> None:
        data = b"%d\n" % len(program) + program
        while data:
            data = data[os.write(self._programs, data) :]

    def _hear(self, line: str) -> None:
        self._lines.put(line)
        self.wake()

    def _line(self, line: str) -> None:
        if line.startswith("--- boot "):
            self._booted()
        elif line.startswith("--- "):
            return
        elif line.endswith(_AT_PROMPT) and not self._is_up:
            self._is_up = True
            self._show()
            self.prompt()
        else:
            self.send(line.encode() if line.endswith(_AT_PROMPT) else line.encode() + b"\r\n")

    def _booted(self) -> None:
        self._is_up = False
        if self._is_soft:
            self._is_soft = False
            return
        self.hang_up()
        if self._link is Link.USB:
            self.port.unlink(missing_ok=True)
            self.unplug()
        else:
            self.send(_ROM)

    def _show(self) -> None:
        if not self.port.is_symlink():
            self.port.symlink_to(self.plug_in())
