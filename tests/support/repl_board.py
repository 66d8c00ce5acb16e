"""A board at its prompt, on a serial port that is not there.

What is sent is run by a real MicroPython over the file system of a board.
"""

import os
import subprocess
from pathlib import Path

from tests.support.paths import program
from tests.support.repl_port import ReplPort

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


class ReplBoard(ReplPort):
    """A context manager; `files` holds the board's file system as in flash, `port` is what a command is given."""

    def __init__(self, files: Path) -> None:
        super().__init__()
        self.files = files
        self.port = self.plug_in()
        self._runtime = self._start()

    def execute(self, program: bytes) -> None:
        """Run it in the interpreter beside, until the end."""
        assert self._runtime.stdin is not None
        assert self._runtime.stdout is not None
        self._runtime.stdin.write(b"%d\n" % len(program) + program)
        self._runtime.stdin.flush()
        ends = 0
        while ends < 2:
            piece = os.read(self._runtime.stdout.fileno(), 4096)
            if not piece:
                return
            ends += piece.count(b"\x04")
            self.send(piece)

    def restart(self) -> None:
        """Begin with a fresh interpreter."""
        self.end()
        self._runtime = self._start()
        self.send(b"OK\r\nMPY: soft reboot\r\n")
        self.prompt()

    def events(self) -> None:
        """Nothing happens on it unasked."""

    def end(self) -> None:
        """Stop the interpreter."""
        self._runtime.kill()
        self._runtime.communicate()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [program("micropython"), "-c", _RUNNER, str(self.files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
