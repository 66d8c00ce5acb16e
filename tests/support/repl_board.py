"""A board at its prompt, on a serial port that is not there: the raw REPL of MicroPython on a pseudo-terminal.

What is sent is run by a real MicroPython over the file system of a board. Facts: docs/reference/repl.rst of MicroPython
v1.28.
"""

import errno
import os
import pty
import select
import subprocess
import threading
import time
import tty
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.paths import program

# Mounts a littlefs in a file as its root. Then it reads a length and a program, runs it, and prints what the raw REPL
# prints after it.
_RUNNER = """
import sys, vfs
class Flash:
    def __init__(self, path):
        self.file = open(path, "r+b")
    def readblocks(self, block, buffer, offset=0):
        self.file.seek(block * 4096 + offset)
        self.file.readinto(buffer)
    def writeblocks(self, block, buffer, offset=0):
        self.file.seek(block * 4096 + offset)
        self.file.write(buffer)
        self.file.flush()
    def ioctl(self, request, value):
        if request == 4:
            return self.file.seek(0, 2) // 4096
        return 4096 if request == 5 else 0
flash = Flash(sys.argv[1])
vfs.umount("/")
vfs.mount(vfs.VfsLfs2(flash), "/")
sys.path[:] = ["", ".frozen", "/lib"]
names = {"__name__": "__main__"}
while True:
    size = sys.stdin.buffer.readline()
    if not size:
        break
    program = sys.stdin.buffer.read(int(size))
    error = None
    try:
        exec(program, names)
    except BaseException as raised:
        error = raised
    print("\\x04", end="")
    if error:
        sys.print_exception(error)
    print("\\x04>", end="")
"""
_RAW = b"raw REPL; CTRL-B to exit\r\n>"
_FRIENDLY = b"\r\nMicroPython v1.28.0 on 2026-04-06; a test with ESP32\r\n>>> "


class ReplBoard:
    """A context manager; `files` holds the board's file system as in flash, `port` is what a command is given."""

    def __init__(self, files: Path) -> None:
        self.files = files
        self.silent = False
        """Whether it answers nothing, as a board that is stuck."""
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        os.close(slave)
        self._stop = threading.Event()
        self._raw = False
        self._typed = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._runtime = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [program("micropython"), "-c", _RUNNER, str(self.files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _end(self) -> None:
        self._runtime.kill()
        self._runtime.communicate()

    def _serve(self) -> None:
        while not self._stop.is_set():
            if not select.select([self._master], [], [], 0.1)[0]:
                continue
            try:
                received = os.read(self._master, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                time.sleep(0.005)  # nobody has the port open
                continue
            if not self.silent:
                for byte in received:
                    self._type(bytes([byte]))

    def _type(self, byte: bytes) -> None:
        if self._typed == b"\x05A":
            # Whether it takes a program piece by piece, within a window: understood, and no.
            self._typed = b""
            self._send(b"R\0")
        elif byte == b"\x01":
            self._raw, self._typed = True, b""
            self._send(_RAW)
        elif byte == b"\x02":
            self._raw = False
            self._send(_FRIENDLY)
        elif byte == b"\x03":
            self._typed = b""
        elif byte == b"\x04":
            self._go()
        else:
            self._typed += byte

    def _go(self) -> None:
        typed, self._typed = self._typed, b""
        if not self._raw or not typed:
            self._end()
            self._runtime = self._start()
            self._send(b"OK\r\nMPY: soft reboot\r\n" + (_RAW if self._raw else _FRIENDLY))
            return
        self._send(b"OK")
        assert self._runtime.stdin is not None
        assert self._runtime.stdout is not None
        self._runtime.stdin.write(b"%d\n" % len(typed) + typed)
        self._runtime.stdin.flush()
        ends = 0
        while ends < 2:
            piece = os.read(self._runtime.stdout.fileno(), 4096)
            if not piece:
                return
            ends += piece.count(b"\x04")
            self._send(piece)

    def _send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._master, data) :]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(5)
        self._end()
        os.close(self._master)
