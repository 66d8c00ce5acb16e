"""One life of a device's processor, from the bootloader's jump to the next reset."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from .child import Child
from .console import Console
from .control import Control
from .errors import Abort, PowerLost, TwinError
from .flash import Flash
from .loop import Loop
from .services import Cause, Reset, Services
from .timers import Timers, Watchdog


class Died(Exception):
    """MicroPython's process has ended by itself, which no program on the device can bring about."""


class Life:
    """A running child with all that listens to it."""

    def __init__(
        self,
        loop: Loop,
        child: Child,
        services: Services,
        flash: Flash,
        console: Console,
        watchdog: Watchdog,
        over: Callable[[Reset | Died | TwinError], None],
        *,
        timing: bool,
    ) -> None:
        """``over`` is called when this life has come to its end, and why; ``end`` is still to be called."""
        self._loop = loop
        self._child = child
        self._console = console
        self._over = over
        self._control = Control(loop, child, services, flash, timing=timing)
        self._timers = Timers(loop, child, lambda: self._control.is_busy, watchdog)
        self._started = time.monotonic()
        loop.watch(child.requests.fileno(), self._request)
        loop.watch(child.events.fileno(), self._timers.receive)
        loop.watch(child.console, self._print)

    @property
    def age(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def end(self) -> int:
        """Kill the child if it still runs, and take its last words. The process's exit code."""
        self._timers.stop()
        for fd in (self._child.requests.fileno(), self._child.events.fileno(), self._child.console):
            self._loop.unwatch(fd)
        code = self._child.end()
        while self._read():
            pass
        os.close(self._child.console)
        return code

    def _request(self) -> None:
        try:
            if not self._control.receive():
                self._over(Died())
        except Abort as error:
            self._console.line(f"abort() was called: {error}")
            self._over(Reset(Cause.HARD, "a panic"))
        except PowerLost as error:
            self._over(Reset(Cause.POWER_ON, f"a power cut {error}"))
        except (Reset, TwinError) as end:
            self._over(end)

    def _print(self) -> None:
        self._read()

    def _read(self) -> bool:
        try:
            data = os.read(self._child.console, 1 << 16)
        except BlockingIOError:
            return False
        self._console.feed(data)
        return bool(data)
