"""The partition table that a board gets: two OTA slots and a file system, whatever the download came with.

A download for general use has one app partition and nowhere to put an update. The tables are those of our own builds,
firmware/partitions/*.csv (the format of ESP-IDF's gen_esp32part.py). Where the flash is larger than a table says, its
last partition, the file system, takes what is left. That has a row of its own because MicroPython before v1.26 finds
it by that.
"""

import csv
import importlib.resources
from dataclasses import replace
from typing import Final

from broker_tools.errors import OtafleetError
from broker_tools.text import size_text
from firmware.twin import partition_table
from firmware.twin.partition_table import (
    APP,
    DATA,
    DATA_FAT,
    DATA_NVS,
    DATA_OTA,
    DATA_PHY,
    OTA_0,
    Partition,
    Table,
)

ADDRESS: Final = partition_table.OFFSET
SECTOR: Final = partition_table.SIZE

_MB: Final = 1024 * 1024
_FILES: Final = ((8 * _MB, "ota-8MiB.csv"), (4 * _MB, "ota-4MiB.csv"))
"""Tables by the least flash that has room for them, in bytes."""
_TYPES: Final = {"app": APP, "data": DATA}
_SUBTYPES: Final = {
    "nvs": DATA_NVS,
    "ota": DATA_OTA,
    "phy": DATA_PHY,
    "fat": DATA_FAT,
    "ota_0": OTA_0,
    "ota_1": OTA_0 + 1,
}


def for_flash(size: int) -> Table:
    """Return the table for a flash of `size` bytes. Raises OtafleetError when it is too small for two slots."""
    name = next((name for least, name in _FILES if size >= least), None)
    if name is None:
        raise OtafleetError(
            f"the board has {size_text(size)} of flash: two slots and a file system need 4 MB, take another board"
        )
    text = (importlib.resources.files("firmware") / "partitions" / name).read_text(encoding="utf-8")
    *rows, last = _read(text)
    return Table((*rows, replace(last, size=size - last.address)))


def row(table: Table, label: str) -> Partition:
    """Return the partition of that name, which is there."""
    return next(row for row in table if row.label == label)


def pack(table: Table) -> bytes:
    """Return the sector that holds the table."""
    return partition_table.pack(table)


def parse(sector: bytes) -> Table | None:
    """Return the table in a sector of a board's flash; None when it has none that a bootloader would take."""
    try:
        return partition_table.parse(sector)
    except ValueError:
        return None


def _read(text: str) -> list[Partition]:
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    rows = [[cell.strip() for cell in cells] for cells in csv.reader(lines)]
    return [
        Partition(_TYPES[kind], _SUBTYPES[subtype], int(address, 0), int(size, 0), label)
        for label, kind, subtype, address, size, *_ in rows
    ]
