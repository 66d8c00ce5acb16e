"""A small event loop, so that one process can be the chip around any number of twins."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import time
from collections.abc import Callable
from contextlib import suppress

_Callback = Callable[[], None]


class Alarm:
    """A call that is due at some time."""

    def __init__(self, call: _Callback) -> None:
        self.call: _Callback | None = call

    def cancel(self) -> None:
        """Let it not happen."""
        self.call = None


class Loop:
    """Calls back when file descriptors can be read and when times have come."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._alarms: list[tuple[float, int, Alarm]] = []
        self._order = itertools.count()
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        self.watch(self._wake_out, lambda: None)

    def watch(self, fd: int, call: _Callback) -> None:
        """Call whenever ``fd`` can be read or has been closed at the other end."""
        self._selector.register(fd, selectors.EVENT_READ, call)

    def unwatch(self, fd: int) -> None:
        """No longer."""
        self._selector.unregister(fd)

    def at(self, when: float, call: _Callback) -> Alarm:
        """Call at ``when`` of ``time.monotonic()``."""
        alarm = Alarm(call)
        heapq.heappush(self._alarms, (when, next(self._order), alarm))
        return alarm

    def after(self, seconds: float, call: _Callback) -> Alarm:
        """Call in so many seconds."""
        return self.at(time.monotonic() + seconds, call)

    def wake(self) -> None:
        """Make ``turn`` return; from any thread or signal handler."""
        with suppress(BlockingIOError):  # it has been woken already
            os.write(self._wake_in, b"\0")

    def turn(self, longest: float) -> None:
        """Wait for the next thing, ``longest`` seconds at most, and do all that is due."""
        if self._alarms:
            longest = min(longest, max(self._alarms[0][0] - time.monotonic(), 0))
        # The selector counts in milliseconds and rounds up; flash timing needs better than that.
        for key, _ in self._selector.select(int(longest * 1000) / 1000):
            if key.fd == self._wake_out:
                self._drain()
            elif key.fd in self._selector.get_map():
                key.data()
        while self._alarms:
            wait = self._alarms[0][0] - time.monotonic()
            if wait > 0.001:
                break
            time.sleep(max(wait, 0))
            alarm = heapq.heappop(self._alarms)[2]
            if alarm.call is not None:
                alarm.call()

    def close(self) -> None:
        """Give up all descriptors of its own."""
        self._selector.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_out, 4096)
