"""The two records of otadata, which say what to boot (ESP-IDF 5.5, bootloader_common_loader.c)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace

from .flash import SECTOR, Flash
from .partition_table import Partition

NEW = 0
PENDING_VERIFY = 1
VALID = 2
INVALID = 3
ABORTED = 4
UNDEFINED = 0xFFFFFFFF
STATES = {
    NEW: "NEW",
    PENDING_VERIFY: "PENDING_VERIFY",
    VALID: "VALID",
    INVALID: "INVALID",
    ABORTED: "ABORTED",
    UNDEFINED: "UNDEFINED",
}

_RECORD = struct.Struct("<I20sII")
ERASED = 0xFFFFFFFF
"""Sequence number of a record that was never written."""


@dataclass(frozen=True)
class Record:
    """One record. The CRC covers the sequence number only."""

    seq: int
    label: bytes
    state: int
    crc: int

    @staticmethod
    def parse(data: bytes) -> Record:
        """Read the first 32 bytes."""
        return Record(*_RECORD.unpack_from(data))

    def pack(self) -> bytes:
        """The 32 bytes as they lie in flash."""
        return _RECORD.pack(self.seq, self.label, self.state, self.crc)

    def sealed(self, seq: int, state: int) -> Record:
        """This record with another sequence number and state, and the CRC to go with it.

        The label stays as it was read, as in ESP-IDF.
        """
        return replace(self, seq=seq, state=state, crc=crc(seq))

    def with_state(self, state: int) -> Record:
        """This record in another state; the CRC doesn't cover it."""
        return replace(self, state=state)

    @property
    def is_dismissed(self) -> bool:
        """Never written, or given up: ESP-IDF's ``ota_select_invalid``, which doesn't look at the CRC."""
        return self.seq == ERASED or self.state in (INVALID, ABORTED)

    @property
    def is_sealed(self) -> bool:
        """The CRC is right."""
        return self.crc == crc(self.seq)

    @property
    def is_valid(self) -> bool:
        """It may choose a slot."""
        return not self.is_dismissed and self.is_sealed


def crc(seq: int) -> int:
    """ROM ``crc32_le`` over the sequence number."""
    return zlib.crc32(struct.pack("<I", seq), 0xFFFFFFFF)


class OtaData:
    """Both records of a twin's otadata partition."""

    def __init__(self, flash: Flash, partition: Partition) -> None:
        self._flash = flash
        self._address = partition.address
        self.records = [Record.parse(flash.read(self._address + i * SECTOR, _RECORD.size)) for i in (0, 1)]

    def active(self) -> int | None:
        """Which record chooses the slot; the first where both have the same number."""
        valid = [i for i in (0, 1) if self.records[i].is_valid]
        return max(valid, key=lambda i: (self.records[i].seq, -i), default=None)

    def write(self, index: int, record: Record) -> None:
        """Replace a record: one erase, one write of 32 bytes. Raises PowerLost."""
        address = self._address + index * SECTOR
        self._flash.erase(address, SECTOR)
        self._flash.program(address, record.pack())
        self.records[index] = record
