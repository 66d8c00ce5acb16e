"""The raw REPL of MicroPython on a serial port that is not there: a pseudo-terminal.

Facts: docs/reference/repl.rst of MicroPython v1.28. Whoever derives from it runs the programs that are sent.
"""

import errno
import os
import pty
import select
import threading
import tty
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

RAW = b"raw REPL; CTRL-B to exit\r\n>"
FRIENDLY = b"\r\nMicroPython v1.28.0 on 2026-04-06; a test with ESP32\r\n>>> "
_READER_S = 5.0
"""How long output waits for its reader; as on a serial line, what nobody reads is lost."""


class ReplPort(ABC):
    """A context manager. One thread does all: it reads what is typed, and `events` when `wake` was called."""

    def __init__(self) -> None:
        self.silent = False
        """Whether it answers nothing, as a board that is stuck."""
        self._raw = False
        self._typed = b""
        self._master: int | None = None
        self._stop = threading.Event()
        self._wake_out, self._wake_in = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @abstractmethod
    def execute(self, program: bytes) -> None:
        """Run a program; what it prints, "\\x04", its traceback, "\\x04>" have to be sent, now or later."""

    @abstractmethod
    def restart(self) -> None:
        """A soft reset: begin with a fresh interpreter."""

    @abstractmethod
    def events(self) -> None:
        """Look at what else has happened."""

    @abstractmethod
    def end(self) -> None:
        """Stop what runs the programs."""

    def plug_in(self) -> str:
        """Make a terminal and return its path."""
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        path = os.ttyname(slave)
        os.close(slave)
        return path

    def unplug(self) -> None:
        """Take the terminal away: whoever has it open reads and writes errors from now on."""
        if self._master is not None:
            os.close(self._master)
            self._master = None

    def wake(self) -> None:
        """Have `events` called soon; from any thread."""
        os.write(self._wake_in, b"\0")

    def send(self, data: bytes) -> None:
        """Send to whoever has the port open."""
        while data and self._master is not None:
            if not select.select([], [self._master], [], _READER_S)[1]:
                return
            data = data[os.write(self._master, data) :]

    def prompt(self) -> None:
        """Send what a fresh interpreter shows."""
        self.send(RAW if self._raw else FRIENDLY)

    def hang_up(self) -> None:
        """The chip was reset: it has forgotten what was typed, and in which mode."""
        self._raw, self._typed = False, b""

    def _serve(self) -> None:
        while not self._stop.is_set():
            watched = [self._wake_out] + ([] if self._master is None else [self._master])
            ready = select.select(watched, [], [], 0.1)[0]
            if self._wake_out in ready:
                os.read(self._wake_out, 4096)
                self.events()
            elif ready:
                self._receive()

    def _receive(self) -> None:
        assert self._master is not None
        try:
            received = os.read(self._master, 65536)
        except OSError as error:
            if error.errno not in {errno.EIO, errno.EAGAIN}:
                raise
            self._stop.wait(0.005)  # nobody has the port open
            return
        if not self.silent:
            for byte in received:
                self._type(bytes([byte]))

    def _type(self, byte: bytes) -> None:
        if self._typed == b"\x05A":
            # Whether it takes a program piece by piece, within a window: understood, and no.
            self._typed = b""
            self.send(b"R\0")
        elif byte == b"\x01":
            self._raw, self._typed = True, b""
            self.send(RAW)
        elif byte == b"\x02":
            self._raw = False
            self.send(FRIENDLY)
        elif byte == b"\x03":
            self._typed = b""
        elif byte == b"\x04":
            self._go()
        else:
            self._typed += byte

    def _go(self) -> None:
        typed, self._typed = self._typed, b""
        if self._raw and typed:
            self.send(b"OK")
            self.execute(typed)
        else:
            self.restart()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(5)
        self.end()
        self.unplug()
        os.close(self._wake_in)
        os.close(self._wake_out)
