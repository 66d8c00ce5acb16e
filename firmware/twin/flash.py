"""4 MiB of NOR flash in a sparse file.

NOR flash knows two operations: erasing a sector of 4096 bytes sets all its bits, programming clears bits
and can't set any. Every one that a device makes goes through ``Flash._operate``: there it is counted, there
the running app is guarded, there the power may go. Reading is free and has no rules.
"""

from __future__ import annotations

import mmap
import os
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import Abort, PowerLost, TwinError

SIZE = 4 * 1024 * 1024
SECTOR = 4096
ERASE_S = 0.045
"""Time to erase one sector, in seconds: typical of the 4 MB parts on ESP32 modules."""
PROGRAM_S = 0.0005
"""Time to program one page of 256 bytes, in seconds."""

_BLANK = b"\xff" * SECTOR
_WEAR = struct.Struct("<III")  # erases, writes, 1 once the sector has been stored


@dataclass(frozen=True)
class SectorCount:
    """What the device did to one sector since the twin was made."""

    erases: int
    writes: int


@dataclass(frozen=True)
class Operation:
    """One erase or write that the device asked for, of one sector at most."""

    number: int
    """Counted since the ``Flash`` was made, from 1."""
    address: int
    size: int
    is_erase: bool


@dataclass
class PowerCut:
    """The power goes in the middle of operation number ``at`` from now (1 is the next).

    ``seed`` decides how far that operation gets: anything from not at all to complete.
    """

    at: int
    seed: int = 0

    def torn(self, old: bytes, new: bytes) -> bytes:
        """What the cells hold when the power goes on the way from ``old`` to ``new``."""
        chance = random.Random(f"{self.seed}/{len(new)}")
        done = chance.randint(0, len(new))
        between = bytearray(old[done : done + 1])
        if between:
            mask = chance.getrandbits(8)
            between[0] = between[0] & ~mask & 0xFF | new[done] & mask
        return new[:done] + between + old[done + 1 :]


class Flash:
    """The flash of one twin: ``flash.bin`` in its folder, and the wear of each sector in ``flash.wear``."""

    def __init__(self, folder: Path) -> None:
        """Open the flash in ``folder``. Raises TwinError when it is missing or can't be written."""
        self.path = folder / "flash.bin"
        self.operations = 0
        """Erase and program operations since this object was made, one sector at most each."""
        self.power_cut: PowerCut | None = None
        self.on_operation: Callable[[Operation], None] | None = None
        """Called with each operation before it is done, in the thread that runs the twin."""
        self.guarded: tuple[range, ...] = ()
        """Where an erase or write makes ESP-IDF abort: the running app, the bootloader and the table."""
        self.spent = 0.0
        """Seconds that the operations so far would have taken a real chip."""
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            with (folder / "flash.wear").open("r+b") as wear:
                self._wear = mmap.mmap(wear.fileno(), SIZE // SECTOR * _WEAR.size)
        except (OSError, ValueError) as error:
            raise TwinError(f"no usable twin in {folder} ({error}): make one first") from error

    @staticmethod
    def create(folder: Path) -> None:
        """Make the files of an erased flash, over those that are there. Raises OSError."""
        with (folder / "flash.bin").open("wb") as file:
            file.truncate(SIZE)
        # Not sparse: it is mapped into memory, where a full disk would be a crash.
        (folder / "flash.wear").write_bytes(bytes(SIZE // SECTOR * _WEAR.size))

    def close(self) -> None:
        """Give the files back; the object is of no use afterwards."""
        os.close(self._fd)
        self._wear.close()

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes from ``address``. Raises ValueError outside of the flash."""
        data = b"".join(
            os.pread(self._fd, end - start, start) if self._stored(start) else _BLANK[: end - start]
            for start, end in _pieces(address, size)
        )
        if len(data) != size:
            raise TwinError(f"{self.path} is shorter than the flash: make the twin anew")
        return data

    def load(self, address: int, data: bytes) -> None:
        """Put ``data`` at ``address`` as a programmer on the bench does: no rules, no wear, nothing counted."""
        for start, end in _pieces(address, len(data)):
            self._store(start, data[start - address : end - address])

    def erase(self, address: int, size: int) -> None:
        """Erase whole sectors. Raises Abort, PowerLost, ValueError when not on sector edges."""
        if address % SECTOR or size % SECTOR:
            raise ValueError("erasing takes whole sectors")
        for start, _ in _pieces(address, size):
            self._operate(start, _BLANK, 1, 0, ERASE_S)

    def program(self, address: int, data: bytes) -> None:
        """Clear the bits that are 0 in ``data``. Raises Abort, PowerLost, ValueError outside of the flash."""
        for start, end in _pieces(address, len(data)):
            new = int.from_bytes(data[start - address : end - address], "little")
            new &= int.from_bytes(self.read(start, end - start), "little")
            pages = (end - 1) // 256 - start // 256 + 1
            self._operate(start, new.to_bytes(end - start, "little"), 0, 1, pages * PROGRAM_S)

    def counts(self) -> list[SectorCount]:
        """Erases and writes of every sector, in order of address."""
        return [SectorCount(erases, writes) for erases, writes, _ in _WEAR.iter_unpack(self._wear[:])]

    def _operate(self, address: int, new: bytes, erases: int, writes: int, seconds: float) -> None:
        if any(address in region for region in self.guarded):
            raise Abort(f"flash operation at 0x{address:x}, which is in use")
        self.operations += 1
        self.spent += seconds
        if self.on_operation is not None:
            self.on_operation(Operation(self.operations, address, len(new), bool(erases)))
        index = address // SECTOR * _WEAR.size
        old = _WEAR.unpack_from(self._wear, index)
        _WEAR.pack_into(self._wear, index, old[0] + erases, old[1] + writes, old[2])
        if self.power_cut is not None:
            self.power_cut.at -= 1
            if self.power_cut.at == 0:
                cut, self.power_cut = self.power_cut, None
                self._store(address, cut.torn(self.read(address, len(new)), new))
                raise PowerLost(f"in flash operation {self.operations} at 0x{address:x}")
        self._store(address, new)

    def _stored(self, address: int) -> bool:
        # A hole of the file reads as zeros, an erased sector as ones: a sector that was never stored is
        # blank, whatever the file says.
        return bool(self._wear[address // SECTOR * _WEAR.size + 8])

    def _store(self, address: int, data: bytes) -> None:
        first = address - address % SECTOR
        stored = self._stored(address)
        if not stored:
            data = _BLANK[: address - first] + data + _BLANK[address - first + len(data) :]
            address = first
        try:
            written = os.pwrite(self._fd, data, address)
        except OSError as error:
            raise TwinError(f"can't write {self.path} ({error.strerror}): free some space") from error
        if written != len(data):
            raise TwinError(f"can't write {self.path}: the disk is full")
        # Last, so that a twin killed in between finds the sector as it was.
        self._wear[first // SECTOR * _WEAR.size + 8] = 1


def _pieces(address: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut a range of flash at its sector edges, into (start, end)."""
    if address < 0 or size < 0 or address + size > SIZE:
        raise ValueError(f"0x{address:x}+0x{size:x} is outside of the flash")
    while size:
        step = min(size, SECTOR - address % SECTOR)
        yield address, address + step
        address += step
        size -= step
