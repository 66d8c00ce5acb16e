"""The two records of the otadata partition: which slot boots, and whether it has proved itself.

Pure: the same source runs on CPython and on MicroPython. The rules are ESP-IDF v5.5's
(esp_flash_partitions.h, bootloader_common_loader.c). A record is 32 bytes at the start of each of the partition's
two 4096-byte sectors: seq, 20 bytes of label, state, and a CRC that covers seq alone. Here it is a
tuple (seq, label, state, crc). Slots are counted from 0 for ota_0.
"""

import binascii
import struct

RECORD_SIZE = 32
_FORMAT = "<I20sII"

NEW = 0
PENDING_VERIFY = 1
VALID = 2
INVALID = 3
ABORTED = 4
UNDEFINED = 0xFFFFFFFF


def crc(seq: int) -> int:
    """The CRC that a record with this seq carries (ROM crc32_le over the four bytes, started at 0xFFFFFFFF)."""
    return binascii.crc32(struct.pack("<I", seq), 0xFFFFFFFF)


def parse(raw: bytes) -> tuple:
    """The record in 32 bytes."""
    return struct.unpack(_FORMAT, raw)


def pack(seq: int, state: int, label: bytes = b"\xff" * 20) -> bytes:
    """The 32 bytes of a record with its CRC."""
    return struct.pack(_FORMAT, seq, label, state, crc(seq))


def is_sound(record: tuple) -> bool:
    """Whether the record's CRC is right, whatever its state."""
    return record[3] == crc(record[0])


def is_valid(record: tuple) -> bool:
    """Whether the bootloader may choose the record: sound, not erased, neither INVALID nor ABORTED."""
    return record[0] != 0xFFFFFFFF and record[2] not in (INVALID, ABORTED) and is_sound(record)


def slot_of(record: tuple, slots: int) -> int:
    """The slot that the record names, of `slots` there are (at least 1)."""
    return ((record[0] - 1) & 0xFFFFFFFF) % slots


def active(records: list) -> int:
    """Which of the two records decides: 0 or 1, or -1 if neither may be chosen."""
    first, second = records
    if is_valid(first) and is_valid(second):
        return 0 if first[0] >= second[0] else 1
    if is_valid(first):
        return 0
    return 1 if is_valid(second) else -1


def state_of(records: list, slot: int, slots: int) -> int:
    """The state recorded for a slot (0 to 4, or -1 for UNDEFINED), or None if no record names it.

    The first sound record wins, as in ESP-IDF, even where a later one is newer.
    """
    for record in records:
        if is_sound(record) and slot_of(record, slots) == slot:
            return record[2] - (1 << 32) if record[2] >> 31 else record[2]
    return None
