"""The partition table as it lies in flash (ESP-IDF 5.5, gen_esp32part.py and flash_partitions.c)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

OFFSET = 0x8000
SIZE = 0x1000
APP = 0
DATA = 1
FACTORY = 0x00
OTA_0 = 0x10
OTA_LAST = 0x1F
TEST = 0x20
DATA_OTA = 0x00
DATA_PHY = 0x01
DATA_NVS = 0x02
DATA_FAT = 0x81

_ENTRY = struct.Struct("<2sBBII16sI")
_MAGIC = b"\xaa\x50"
_MD5 = b"\xeb\xeb" + b"\xff" * 14


@dataclass(frozen=True)
class Partition:
    """One row of the table; address and size in bytes."""

    type: int
    subtype: int
    address: int
    size: int
    label: str
    flags: int = 0

    @property
    def is_ota(self) -> bool:
        """True for ota_0 to ota_15."""
        return self.type == APP and OTA_0 <= self.subtype <= OTA_LAST

    def pack(self) -> bytes:
        """The 32 bytes of the row."""
        label = self.label.encode()
        return _ENTRY.pack(_MAGIC, self.type, self.subtype, self.address, self.size, label, self.flags)


DEFAULT = (
    Partition(DATA, DATA_NVS, 0x9000, 0x4000, "nvs"),
    Partition(DATA, DATA_OTA, 0xD000, 0x2000, "otadata"),
    Partition(DATA, DATA_PHY, 0xF000, 0x1000, "phy_init"),
    Partition(APP, OTA_0, 0x10000, 0x180000, "ota_0"),
    Partition(APP, OTA_0 + 1, 0x190000, 0x180000, "ota_1"),
    Partition(DATA, DATA_FAT, 0x310000, 0xF0000, "vfs"),
)
"""MicroPython's partitions-4MiB-ota.csv, with the vfs that its firmware adds at start-up."""


class Table(tuple[Partition, ...]):
    """The rows of a table, in order."""

    __slots__ = ()

    def find(self, type: int, subtype: int = 0xFF, label: str | None = None) -> list[Partition]:
        """Rows of that type; 0xFF and None match any. As ``esp_partition_find``."""
        return [
            row
            for row in self
            if type in (row.type, 0xFF) and subtype in (row.subtype, 0xFF) and label in (row.label, None)
        ]

    def first(self, type: int, subtype: int = 0xFF, label: str | None = None) -> Partition | None:
        """The first that ``find`` gives, if any."""
        return next(iter(self.find(type, subtype, label)), None)

    def at(self, address: int) -> Partition | None:
        """The row that begins at ``address``."""
        return next((row for row in self if row.address == address), None)

    @property
    def slots(self) -> list[Partition]:
        """ota_0, ota_1, … up to the first that is missing."""
        slots: list[Partition] = []
        while (slot := self.first(APP, OTA_0 + len(slots))) and slot.is_ota:
            slots.append(slot)
        return slots


def pack(rows: Iterable[Partition]) -> bytes:
    """The sector of flash that holds these rows, with their MD5."""
    body = b"".join(row.pack() for row in rows)
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return (body + _MD5 + digest).ljust(SIZE, b"\xff")


def parse(sector: bytes) -> Table:
    """Read a table. Raises ValueError where ESP-IDF's bootloader refuses it."""
    rows: list[Partition] = []
    for offset in range(0, 0xC00, _ENTRY.size):
        entry = sector[offset : offset + _ENTRY.size]
        if entry[:2] == _MD5[:2]:
            if hashlib.md5(sector[:offset], usedforsecurity=False).digest() != entry[16:]:
                raise ValueError("the partition table's MD5 is wrong")
        elif entry[:2] == b"\xff\xff":
            return Table(rows)
        elif entry[:2] == _MAGIC:
            _, type_, subtype, address, size, label, flags = _ENTRY.unpack(entry)
            rows.append(Partition(type_, subtype, address, size, label.split(b"\0")[0].decode(), flags))
        else:
            raise ValueError(f"row {offset // 32} of the partition table is garbage")
    raise ValueError("the partition table has no end")
