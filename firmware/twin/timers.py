"""machine.Timer and machine.WDT. They live in the parent, so they run on whatever the device's program does."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

from .child import Child
from .loop import Alarm, Loop

_MESSAGE = struct.Struct("<BHI")
_RAN, _ONE_SHOT, _PERIODIC, _STOP, _WDT, _FEED = range(1, 7)
_NUDGE_S = 0.01


class Watchdog:
    """machine.WDT: once started it can't be stopped, and a soft reset doesn't stop it either."""

    def __init__(self, loop: Loop, bite: Callable[[], None]) -> None:
        self._loop = loop
        self._bite = bite
        self._timeout = 0.0
        self._alarm: Alarm | None = None

    def start(self, seconds: float) -> None:
        """``bite`` is called unless it is fed at least this often."""
        self._timeout = seconds
        self.feed()

    def feed(self) -> None:
        """Begin the wait anew."""
        self.stop()
        if self._timeout:
            self._alarm = self._loop.after(self._timeout, self._bite)

    def stop(self) -> None:
        """The chip has been reset."""
        if self._alarm is not None:
            self._alarm.cancel()


class Timers:
    """The timers of one life of a device.

    A due timer is a tick on the wire; a thread of the child puts it into MicroPython's queue of callbacks.
    That queue isn't looked at inside a blocking system call, so the child is nudged by a signal until it
    says that the callback has begun.
    """

    def __init__(self, loop: Loop, child: Child, is_busy: Callable[[], bool], watchdog: Watchdog) -> None:
        """While ``is_busy`` (the child waits for an answer of ours) nothing interrupts it."""
        self._loop = loop
        self._child = child
        self._is_busy = is_busy
        self._watchdog = watchdog
        self._received = b""
        self._alarms: dict[int, Alarm] = {}
        self._nudges: dict[int, Alarm] = {}

    def receive(self) -> None:
        """Take what the child has sent."""
        try:
            self._received += self._child.events.recv(4096)
        except BlockingIOError:
            return
        whole = len(self._received) // _MESSAGE.size * _MESSAGE.size
        for kind, tick, value in _MESSAGE.iter_unpack(self._received[:whole]):
            self._take(kind, tick, value)
        self._received = self._received[whole:]

    def stop(self) -> None:
        """The child has gone."""
        for alarm in (*self._alarms.values(), *self._nudges.values()):
            alarm.cancel()

    def _take(self, kind: int, tick: int, value: int) -> None:
        number = tick & 0xFF
        if kind == _RAN:
            self._cancel(self._nudges, number)
        elif kind in (_ONE_SHOT, _PERIODIC):
            seconds = value / 1000
            self._arm(tick, time.monotonic() + seconds, seconds if kind == _PERIODIC else None)
        elif kind == _STOP:
            self._cancel(self._alarms, number)
            self._cancel(self._nudges, number)
        elif kind == _WDT:
            self._watchdog.start(value / 1000)
        elif kind == _FEED:
            self._watchdog.feed()

    def _arm(self, tick: int, when: float, period: float | None) -> None:
        self._cancel(self._alarms, tick & 0xFF)
        self._alarms[tick & 0xFF] = self._loop.at(when, lambda: self._fire(tick, when, period))

    def _fire(self, tick: int, due: float, period: float | None) -> None:
        # A callback that is late counts as one, as on the chip when its queue is full.
        if tick & 0xFF not in self._nudges:
            try:
                self._child.events.send(struct.pack("<H", tick))
            except OSError:
                return  # the child has just died, or doesn't listen any more
            self._nudge_later(tick & 0xFF)
        if period is not None:
            self._arm(tick, max(due + period, time.monotonic()), period)

    def _nudge_later(self, number: int) -> None:
        self._nudges[number] = self._loop.after(_NUDGE_S, lambda: self._nudge(number))

    def _nudge(self, number: int) -> None:
        if not self._is_busy():
            self._child.wake()
        self._nudge_later(number)

    @staticmethod
    def _cancel(alarms: dict[int, Alarm], number: int) -> None:
        alarm = alarms.pop(number, None)
        if alarm is not None:
            alarm.cancel()
