"""What is on a board before anything is done to it."""

from dataclasses import dataclass

from broker_tools.flash import table, vfs
from broker_tools.flash.esptool import Esptool, Identity
from firmware.twin.partition_table import DATA, Partition, Table


@dataclass(frozen=True, slots=True)
class Survey:
    """A board, its partition table (None without a sound one) and its file system."""

    identity: Identity
    table: Table | None
    place: Partition | None
    """Where its file system would be."""
    kind: str
    """What lies there, see `vfs.kind`."""


def look(board: Esptool) -> Survey:
    """Read what there is to know. Raises OtafleetError when the board does not answer."""
    identity = board.identify()
    rows = table.parse(board.read(table.ADDRESS, table.SECTOR))
    place = _file_system(rows, identity.flash_size) if rows else None
    kind = vfs.kind(board.read(place.address, min(vfs.HEAD, place.size))) if place else ""
    return Survey(identity, rows, place, kind)


def _file_system(rows: Table, flash_size: int) -> Partition | None:
    """Where MicroPython looks for its files: flashbdev.py, and main.c of its ESP32 port from v1.26 on."""
    for label in ("vfs", "ffat"):
        found = rows.first(DATA, label=label)
        if found is not None:
            return found if found.address + found.size <= flash_size else None
    end = max((row.address + row.size for row in rows), default=flash_size)
    return Partition(DATA, 0x81, end, flash_size - end, "vfs") if end < flash_size else None
