"""The app inside a merged download: one file with bootloader, partition table and app, as MicroPython offers them.

Such a file is a copy of flash from where the chip's bootloader lies (0x1000 on ESP32 and ESP32-S2, 0x2000 on
ESP32-P4 and ESP32-C5, 0x0 on all others). The partition table lies at flash 0x8000 (gen_esp32part.py of
ESP-IDF v5.5: 32 bytes an entry, then one with the MD5 of those before it).
"""

import hashlib
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from agent.esp32_ota import image
from broker_tools.errors import OtafleetError

TABLE: Final = 0x8000
"""Where in flash the partition table lies."""
_TABLE_SIZE: Final = 0xC00
_STARTS: Final = (0x0, 0x1000, 0x2000)
_ENTRY: Final = struct.Struct("<2sBBII16sI")
_MD5_MAGIC: Final = b"\xeb\xeb" + b"\xff" * 14
_APP: Final = 0
_FACTORY: Final = 0x00
_OTA: Final = range(0x10, 0x20)


class Merged(NamedTuple):
    """A merged file cut up."""

    start: int
    """Where in flash the file begins."""
    app: bytes
    """The app image, cut to its own length."""
    address: int
    """Where in flash the app lies."""


class _AppPartition(NamedTuple):
    address: int
    size: int
    label: str


def extract(data: bytes) -> tuple[bytes, int]:
    """Return the app image in a merged file and the file offset at which it starts.

    Raises OtafleetError saying why there is none.
    """
    found = split(data)
    return found.app, found.address - found.start


def split(data: bytes) -> Merged:
    """Cut up a merged file.

    The first app partition (factory, ota_0, ...) that holds an image is taken. Raises OtafleetError saying why there
    is none.
    """
    start, table = _find_table(data)
    holes = []
    for partition in _apps(table):
        offset = partition.address - start
        slot = data[max(offset, 0) : offset + partition.size]
        if not slot.strip(b"\xff"):
            holes.append(partition.label)
            continue
        try:
            length = image.verify(lambda at, count, slot=slot: slot[at : at + count], partition.size)
        except image.ImageError as error:
            raise OtafleetError(f"what it holds for the partition {partition.label} is {error}") from None
        return Merged(start, slot[:length], partition.address)
    where = " and ".join(holes) or "any app partition"
    raise OtafleetError(f"the file has a partition table, but no app for {where}")


def _find_table(data: bytes) -> tuple[int, bytes]:
    """Where in flash the file starts, and its partition table without the closing entries."""
    for start in _STARTS:
        table = data[TABLE - start : TABLE - start + _TABLE_SIZE]
        if not table.startswith(image.TABLE_MAGIC):
            continue
        end = 0
        while table.startswith(image.TABLE_MAGIC, end):
            end += _ENTRY.size
        closing = table[end : end + _ENTRY.size]
        digest = hashlib.md5(table[:end]).digest()  # noqa: S324 (an integrity check of ESP-IDF's)
        if closing not in (_MD5_MAGIC + digest, b"\xff" * _ENTRY.size):
            raise OtafleetError("the partition table in the file is damaged")
        return start, table[:end]
    try:
        image.descriptor(lambda at, count: data[at : at + count])
    except image.ImageError:
        raise OtafleetError("there is no partition table in the file: it is not a merged download") from None
    raise OtafleetError("the file is an app image already: publish it as it is")


def _apps(table: bytes) -> Iterator[_AppPartition]:
    """The app partitions, factory first, then the OTA slots in their order."""
    found = []
    for _, kind, subtype, address, size, label, _ in _ENTRY.iter_unpack(table):
        if kind == _APP and (subtype == _FACTORY or subtype in _OTA):
            name = label.split(b"\0")[0].decode(errors="replace")
            found.append((subtype, _AppPartition(address, size, name)))
    return (partition for _, partition in sorted(found))
