"""A device from power-on to power-off: it boots, runs, resets and boots again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .bootloader import Booted, Bootloader
from .child import Child
from .chips import Chip
from .console import Console
from .errors import PowerLost, TwinError
from .flash import Flash
from .image import code_of
from .latency import Latency
from .life import Died, Life
from .loop import Alarm, Loop
from .nvs import Nvs
from .ota import Ota
from .partition_table import DATA, DATA_NVS, OFFSET, SIZE
from .services import Cause, Reset, Services
from .timers import Watchdog
from .wlan import Wlan

BOOT_S = 0.05
"""Least time from one reset to the next boot, in seconds. A real chip needs more; it keeps a device that
resets all the time from taking a whole processor."""
_DEATHS_MAX = 3


@dataclass(frozen=True)
class Boot:
    """One start of the processor."""

    slot: str
    state: str
    """The otadata state of the slot as its app sees it ("PENDING_VERIFY"); "" without a record."""
    cause: Cause


@dataclass(frozen=True)
class Setup:
    """What a device is made of; see ``Twin``."""

    folder: Path
    chip: Chip
    mac: bytes
    heap: str
    boot_s: float
    air: Mapping[str, str]
    latency: Latency
    rollback: bool
    timing: bool


class Device:
    """One device on a loop. ``ended`` is called once, with the error if any, when it won't boot again."""

    def __init__(
        self,
        loop: Loop,
        setup: Setup,
        flash: Flash,
        console: Console,
        ended: Callable[[TwinError | None], None],
    ) -> None:
        self.boots: list[Boot] = []
        self.resets_left: int | None = None
        """How many resets it may still make; None: any number."""
        self._loop = loop
        self._setup = setup
        self._flash = flash
        self._console = console
        self._ended = ended
        self._bootloader = Bootloader(flash, setup.chip, rollback=setup.rollback, log=console.line)
        self._watchdog = Watchdog(loop, lambda: self._over(Reset(Cause.WATCHDOG, "the watchdog")))
        self._life: Life | None = None
        self._start: Alarm | None = None
        self._booted: Booted | None = None
        self._deaths = 0

    def power_on(self) -> None:
        """Start the chip."""
        self._start = self._loop.after(0, lambda: self._boot(Reset(Cause.POWER_ON, "power-on")))

    def power_off(self) -> None:
        """Stop it at once."""
        if self._start is not None:
            self._start.cancel()
        self._watchdog.stop()
        if self._life is not None:
            self._life.end()
            self._life = None

    def _boot(self, why: Reset) -> None:
        try:
            if why.cause is not Cause.SOFT or self._booted is None:
                self._flash.guarded = ()
                asleep = self._booted if why.cause is Cause.DEEPSLEEP else None
                self._booted = self._bootloader.run(asleep.slot.address if asleep else None)
            self._run(self._booted, why)
        except PowerLost as error:
            self._over(Reset(Cause.POWER_ON, f"a power cut {error}"))
        except TwinError as error:
            self._over(error)

    def _run(self, booted: Booted, why: Reset) -> None:
        setup, flash, slot = self._setup, self._flash, booted.slot
        self.boots.append(Boot(slot.label, booted.state, why.cause))
        state = f" {booted.state}" if booted.state else ""
        self._console.line(f"--- boot {len(self.boots)}: {slot.label}{state} after {why}")
        flash.guarded = (range(OFFSET + SIZE), range(slot.address, slot.address + slot.size))
        ota = Ota(flash, setup.chip, booted.table, slot)
        values = booted.table.first(DATA, DATA_NVS)
        if values is None:
            raise TwinError("the partition table has no nvs")
        nvs = Nvs(flash, values)
        services = Services(flash, ota, nvs, Wlan(setup.air), setup.latency, why.cause, setup.mac)
        code = code_of(flash.read(slot.address, slot.size))
        child = Child([str(setup.folder / "vfs"), self._unpack(code)], setup.heap)
        self._life = Life(
            self._loop, child, services, flash, self._console, self._watchdog, self._over, timing=setup.timing
        )

    def _unpack(self, code: bytes | None) -> str:
        """Where the child finds the slot's program as main.py; "" without one."""
        if code is None:
            return ""
        folder = self._setup.folder / "app"
        try:
            folder.mkdir(exist_ok=True)
            (folder / "main.py").write_bytes(code)
        except OSError as error:
            raise TwinError(f"can't write {folder} ({error.strerror}): free some space") from error
        return str(folder)

    def _over(self, why: Reset | Died | TwinError) -> None:
        """The end of one life: boot again, unless there is a reason not to."""
        life, self._life = self._life, None
        age = life.age if life else 0
        code = life.end() if life else 0
        if isinstance(why, Died):
            why = self._died(age, code)
        else:
            self._deaths = 0
        if isinstance(why, TwinError):
            self._watchdog.stop()
            self._console.line(f"--- {why}")
            self._ended(why)
            return
        if why.cause is not Cause.SOFT:
            self._watchdog.stop()
        if self.resets_left == 0:
            self._console.line(f"--- off after {why}")
            self._ended(None)
            return
        if self.resets_left is not None:
            self.resets_left -= 1
        if why.sleep_ms is None:
            self._start = self._loop.after(max(self._setup.boot_s - age, 0), lambda: self._boot(why))
        else:
            self._console.line(f"--- {why}")
            if why.sleep_ms:
                self._start = self._loop.after(why.sleep_ms / 1000, lambda: self._boot(why))

    def _died(self, age: float, code: int) -> Reset | TwinError:
        """What happens when MicroPython itself falls over: a panic, but not again and again."""
        self._deaths = self._deaths + 1 if age < 1 else 1
        if self._deaths < _DEATHS_MAX:
            return Reset(Cause.HARD, f"MicroPython's process ended with code {code}")
        return TwinError(
            f"MicroPython doesn't start (exit code {code}): see {self._setup.folder / 'console.log'}; "
            f"is a heap of {self._setup.heap} enough?"
        )
