"""A digital twin of an ESP32 that runs MicroPython: the real runtime on a flash file, with a real bootloader.

A twin is a folder:

    flash.bin     4 MiB of flash, sparse        flash.wear    erases and writes of every sector
    vfs/          the device's file system      app/          the running slot's program
    twin.json     chip, address, settings       console.log   what the device has printed
"""

from __future__ import annotations

import fcntl
import json
import secrets
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from . import partition_table
from .bootloader import Bootloader
from .child import runtime
from .chips import chip as chip_named
from .console import Console
from .device import BOOT_S, Boot, Device, Setup
from .errors import TwinError
from .flash import Flash, SectorCount
from .latency import Latency
from .loop import Loop
from .partition_table import DEFAULT, Partition
from .services import Cause

_TICK_S = 0.2
AIR = {"twin": ""}
"""The networks in reach of a twin, and their keys, unless it is given others."""


class Twin:
    """One device. Not more than one process can run it at a time."""

    def __init__(
        self,
        folder: Path | str,
        heap: str = "128k",
        flash_timing: bool = False,
        log: Callable[[str], None] | None = None,
        rtt_s: float = 0.0,
    ) -> None:
        """The twin in ``folder``, made by ``create``. Raises TwinError when there is none.

        ``heap``: what the device has for its programs, "128k" or "2m"; what the twin's own modules take, which
        a board has in ROM, comes on top.
        ``flash_timing``: erasing and writing take as long as on a real chip. ``log``: called with every
        line that the device prints. ``rtt_s``: round trip time between the device and its servers, in seconds.
        """
        self.folder = Path(folder).absolute()
        try:
            settings = json.loads((self.folder / "twin.json").read_text())
            self._chip = chip_named(settings["chip"])
            self._mac = bytes.fromhex(settings["mac"])
            self._rollback = bool(settings["rollback"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TwinError(f"no usable twin in {self.folder} ({error}): make one first") from error
        self.flash = Flash(self.folder)
        """The flash as the programmer on the bench has it: ``read`` and ``load`` know no rules."""
        self.air = dict(AIR)
        """Networks and their keys; change it while the twin runs to switch them on and off."""
        self.boot_s = BOOT_S
        """Least time from a reset to the next boot, in seconds."""
        self.boots: list[Boot] = []
        """Every start of the processor in the last ``run``, in order."""
        self.log = log
        """Called with every line that the device prints."""
        self._heap = heap
        self._timing = flash_timing
        self._rtt_s = rtt_s
        self._loop: Loop | None = None
        self._stopped = False

    @staticmethod
    def create(
        folder: Path | str,
        image: bytes,
        chip: str = "esp32",
        files: Mapping[str, bytes] | None = None,
        libs: Mapping[str, Path] | None = None,
        *,
        rollback: bool = True,
        table: Iterable[Partition] = DEFAULT,
    ) -> Twin:
        """Make a twin as it leaves the bench: ``image`` in ota_0, otadata blank, ``files`` in place.

        ``files`` maps paths on the device to contents; ``libs`` maps names to folders of this machine that
        appear under /lib. ``rollback``: whether its bootloader has CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE.
        Raises TwinError when there is a twin already, or the folder can't be written.
        """
        chip_named(chip)
        folder = Path(folder).absolute()
        if Twin.exists(folder):
            raise TwinError(f"{folder} holds a twin already: choose another folder or delete it")
        settings = {"chip": chip, "mac": (b"\x02" + secrets.token_bytes(5)).hex(), "rollback": rollback}
        try:
            _fill(folder / "vfs", files or {}, libs or {})
            Flash.create(folder)
            flash = Flash(folder)
            try:
                _program(flash, partition_table.pack(table), image)
            finally:
                flash.close()
            # Last: without it the folder holds no twin, and making one can be tried again.
            (folder / "twin.json").write_text(json.dumps(settings) + "\n")
        except OSError as error:
            raise TwinError(f"can't make a twin in {folder} ({error.strerror})") from error
        return Twin(folder)

    @staticmethod
    def exists(folder: Path | str) -> bool:
        """Whether there is a twin in ``folder``."""
        return (Path(folder) / "twin.json").exists()

    def run(self, stop: threading.Event | None = None, resets: int | None = None) -> None:
        """Power the device on and let it run, in this thread, until it is stopped.

        That is when ``stop`` is set, ``stop()`` is called, SIGTERM comes (in the main thread), or the device
        resets once more than ``resets`` times. It is switched off then, as if the plug had been pulled.
        Raises NothingBoots when its bootloader finds no image, TwinError when the twin can't go on, and
        KeyboardInterrupt. May be called again; the device keeps its flash and loses its RAM.
        """
        runtime()
        ends: list[TwinError | None] = []
        with (
            _lock(self.folder),
            _sigterm(self.stop),
            _console(self.folder, self.log) as console,
            Latency(self._rtt_s) as latency,
        ):
            setup = Setup(
                self.folder,
                self._chip,
                self._mac,
                self._heap,
                self.boot_s,
                self.air,
                latency,
                rollback=self._rollback,
                timing=self._timing,
            )
            self._stopped = False
            self._loop = Loop()
            device = Device(self._loop, setup, self.flash, console, ends.append)
            device.resets_left = resets
            self.boots = device.boots
            try:
                device.power_on()
                while not (ends or self._stopped or (stop is not None and stop.is_set())):
                    self._loop.turn(_TICK_S)
            finally:
                device.power_off()
                self._loop.close()
                self._loop = None
        for end in ends:
            if end is not None:
                raise end

    def next_boot(self) -> Boot:
        """What the bootloader starts at the next power-on, of a device that is off. It may write its records.

        Raises NothingBoots, and PowerLost when ``flash.power_cut`` comes up.
        """
        bootloader = Bootloader(self.flash, self._chip, rollback=self._rollback, log=self.log or _unheard)
        booted = bootloader.run()
        return Boot(booted.slot.label, booted.state, Cause.POWER_ON)

    def stop(self) -> None:
        """Make ``run`` return; from any thread or signal handler."""
        self._stopped = True
        if (loop := self._loop) is not None:
            loop.wake()

    def close(self) -> None:
        """Give the flash file back. The twin on disk stays."""
        self.flash.close()

    def sector_counts(self) -> list[SectorCount]:
        """What the device did to each of the 1024 sectors of its flash, since it was made."""
        return self.flash.counts()

    def partition(self, label: str) -> Partition:
        """Where the partition of that name lies. Raises TwinError."""
        table = partition_table.parse(self.flash.read(partition_table.OFFSET, partition_table.SIZE))
        for row in table:
            if row.label == label:
                return row
        raise TwinError(f"the twin in {self.folder} has no partition {label}")


def _unheard(_line: str) -> None:
    pass


def _fill(root: Path, files: Mapping[str, bytes], libs: Mapping[str, Path]) -> None:
    (root / "lib").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = (root / name.lstrip("/")).resolve()
        if root.resolve() not in path.parents:
            raise TwinError(f"{name!r} isn't a path on the device")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name, target in libs.items():
        link = root / "lib" / name
        link.unlink(missing_ok=True)
        link.symlink_to(Path(target).absolute())


def _program(flash: Flash, table: bytes, image: bytes) -> None:
    flash.load(partition_table.OFFSET, table)
    first = partition_table.parse(table).slots[0]
    if len(image) > first.size:
        raise TwinError(f"the image is {len(image)} bytes long, {first.label} holds {first.size}")
    flash.load(first.address, image)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    try:
        file = (folder / "lock").open("w")
    except OSError as error:
        raise TwinError(f"can't write {folder} ({error.strerror})") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TwinError(f"the twin in {folder} is running already") from None
        yield


@contextmanager
def _sigterm(stop: Callable[[], None]) -> Iterator[None]:
    mine = threading.current_thread() is threading.main_thread()
    if mine and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: stop())
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    else:
        yield


@contextmanager
def _console(folder: Path, log: Callable[[str], None] | None) -> Iterator[Console]:
    console = Console(folder / "console.log", log)
    try:
        yield console
    finally:
        console.close()
