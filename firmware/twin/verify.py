"""The check of an image that ESP-IDF 5.5 makes before it boots one or lets set_boot choose it.

``esp_image_format.c``, without secure boot; ESP-IDF folds every failure into one error, the message here is
for the console.
"""

from __future__ import annotations

import hashlib
import struct

from .chips import Chip
from .flash import Flash
from .partition_table import Partition

MAGIC = 0xE9
HEADER = struct.Struct("<BBBBIB3sHBHHIB")
SEGMENT = struct.Struct("<II")
SEGMENTS_MAX = 16
LENGTH_MAX = 16 * 1024 * 1024
CHECKSUM = 0xEF
PAGE = 64 * 1024
"""MMU page: a segment mapped from flash sits at the same offset within its page as its address."""
DESCRIPTOR = struct.Struct("<II8s32s32s16s16s32s32sHHB3s72s")
DESCRIPTOR_MAGIC = 0xABCD5432


class ImageInvalid(Exception):
    """Not an image that this chip boots; the message says why."""


def xor(data: bytes) -> int:
    """All bytes XORed together. Folding one big integer takes milliseconds where a loop takes seconds."""
    size = len(data)
    folded = int.from_bytes(data, "little")
    while size > 1:
        half = (size + 1) // 2
        folded = folded >> 8 * half ^ folded & (1 << 8 * half) - 1
        size = half
    return folded


def verify(flash: Flash, partition: Partition, chip: Chip) -> int:
    """The length of the image at the start of ``partition``, in bytes. Raises ImageInvalid."""
    base = partition.address

    def read(offset: int, size: int) -> bytes:
        try:
            return flash.read(base + offset, size)
        except ValueError:
            raise ImageInvalid("it runs past the end of the flash") from None

    if partition.size > LENGTH_MAX:
        raise ImageInvalid("its partition is larger than 16 MiB")
    magic, segments, _, _, _, _, _, chip_id, _, low, high, _, hashed = HEADER.unpack(read(0, HEADER.size))
    if magic != MAGIC:
        raise ImageInvalid("no image here: the first byte isn't 0xE9")
    if chip_id != chip.id:
        raise ImageInvalid(f"it is for chip id {chip_id}, this is {chip.name}")
    if chip.revision < low or (high not in (0, 0xFFFF) and chip.revision > high):
        raise ImageInvalid(f"it doesn't run on chip revision {chip.revision}")
    if segments > SEGMENTS_MAX:
        raise ImageInvalid(f"{segments} segments are too many")
    offset = HEADER.size
    checksum = CHECKSUM
    for index in range(segments):
        address, length = SEGMENT.unpack(read(offset, SEGMENT.size))
        offset += SEGMENT.size
        if length % 4 or length >= LENGTH_MAX:
            raise ImageInvalid(f"segment {index} has length {length}")
        if chip.maps(address) and (base + offset - address) % PAGE:
            raise ImageInvalid(f"segment {index} isn't aligned to its address")
        if index == 0 and chip.block_revision is not None:
            _check_block(chip.block_revision, read(offset, DESCRIPTOR.size))
        checksum ^= xor(read(offset, length))
        offset += length
    end = (offset // 16 + 1) * 16
    if read(end - 1, 1)[0] != checksum:
        raise ImageInvalid("its checksum is wrong")
    length = end + 32 if hashed else end
    digest = read(end, length - end)
    if length > partition.size:
        raise ImageInvalid("it is larger than its partition")
    if digest and hashlib.sha256(read(0, end)).digest() != digest:
        raise ImageInvalid("its digest is wrong")
    return length


def _check_block(revision: int, descriptor: bytes) -> None:
    # Two fields of the app descriptor, at its offsets 176 and 178.
    low, high = struct.unpack_from("<HH", descriptor, 176)
    if (low not in (0, 0xFFFF) and revision < low) or (high not in (0, 0xFFFF) and revision > high):
        raise ImageInvalid(f"it doesn't run on eFuse block revision {revision}")
