"""Children die with their parent, even if that is killed.

Linux does it by itself (PR_SET_PDEATHSIG). Elsewhere a small process waits at a pipe that only the parent
holds open, and kills the children that are left when it closes.
"""

from __future__ import annotations

import os
import signal

class Guardian:
    """The process at the pipe."""

    def __init__(self) -> None:
        """Start it. Raises OSError."""
        out, self._line = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setpgid(0, 0)
                _keep_only(out)
                _watch(3)
            finally:
                os._exit(0)
        os.close(out)
        self.pid = pid

    def adopt(self, pid: int) -> None:
        """A child has been started."""
        os.write(self._line, b"+%d\n" % pid)

    def release(self, pid: int) -> None:
        """It has ended."""
        os.write(self._line, b"-%d\n" % pid)

    def close(self) -> None:
        """No children are left."""
        os.close(self._line)
        os.waitpid(self.pid, 0)


def _keep_only(fd: int) -> None:
    os.dup2(fd, 3)
    os.closerange(4, 65536)


def _watch(line: int) -> None:
    alive: set[int] = set()
    rest = b""
    while data := os.read(line, 4096):
        *words, rest = (rest + data).split(b"\n")
        for word in words:
            (alive.add if word[:1] == b"+" else alive.discard)(int(word[1:]))
    for pid in alive:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
