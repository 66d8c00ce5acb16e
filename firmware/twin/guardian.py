"""Children die with their parent, even if that is killed.

Linux does it by itself (PR_SET_PDEATHSIG). Elsewhere a small process waits at a pipe that only the parent
holds open, and kills the children that are left when it closes.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress


class Guardian:
    """The process at the pipe. It ends when this one does."""

    def __init__(self) -> None:
        """Start it. Raises OSError."""
        out, self._line = os.pipe()
        if os.fork() == 0:
            try:
                os.setpgid(0, 0)
                os.dup2(out, 0)
                os.closerange(1, 65536)
                _watch(0)
            finally:
                os._exit(0)
        os.close(out)

    def adopt(self, pid: int) -> None:
        """A child has been started."""
        os.write(self._line, b"+%d\n" % pid)

    def release(self, pid: int) -> None:
        """It has ended."""
        os.write(self._line, b"-%d\n" % pid)


def _watch(line: int) -> None:
    alive: set[int] = set()
    rest = b""
    while data := os.read(line, 4096):
        *words, rest = (rest + data).split(b"\n")
        for word in words:
            (alive.add if word[:1] == b"+" else alive.discard)(int(word[1:]))
    for pid in alive:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
