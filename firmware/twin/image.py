"""App images made for twins: genuine ESP images that carry the app's Python code.

An image is built as ESP-IDF's tools build one (esp_app_format.h, esptool's bin_image.py): header, segments,
checksum, SHA-256. Segment 0 holds the app descriptor and behind it, where a real app has its constants, a
mark and the source of the program that a twin runs from this slot. Segment 1 is machine code that does
nothing, so on a real board the image starts, hangs and is rolled back. What doesn't need to be is the same
on every run: the same arguments give the same bytes.
"""

from __future__ import annotations

import hashlib
import struct
import zlib

from .chips import chip as chip_named
from .verify import CHECKSUM, DESCRIPTOR, DESCRIPTOR_MAGIC, HEADER, MAGIC, SEGMENT, xor

_MARK = b"otafleet twin app"
_CODE = struct.Struct("<20sII")  # mark, length, CRC-32
_CODE_OFFSET = HEADER.size + SEGMENT.size + DESCRIPTOR.size
_DIGEST_SIZE = 32
_DIO = 2
_4_MB_40_MHZ = 0x20
_PIN_UNUSED = 0xEE
_IDF = b"v5.5.1"


def make_image(
    code: bytes | None, project: str, version: str, chip: str = "esp32", *, size: int = 0, seed: int = 0
) -> bytes:
    """An app image for ``chip`` that a twin runs as main program; None: the device's /main.py runs.

    ``project`` and ``version`` go into the app descriptor, 31 bytes of UTF-8 each. ``size`` is the least
    length in bytes, rounded up to a multiple of 16: what is missing is filled with noise that doesn't
    compress, chosen by ``seed``. Raises ValueError for a name that is too long, TwinError for a chip that
    no twin can be.
    """
    target = chip_named(chip)
    constants = b"" if code is None else _CODE.pack(_MARK, len(code), zlib.crc32(code)) + code
    constants += bytes(-len(constants) % 4)
    identity = hashlib.sha256(repr((project, version, chip, seed)).encode() + constants).digest()
    descriptor = DESCRIPTOR.pack(
        DESCRIPTOR_MAGIC,
        0,
        b"",
        _name("version", version),
        _name("project", project),
        b"00:00:00",
        b"Jan  1 2026",
        _IDF,
        identity,
        0,
        0xFFFF,
        16,  # 64 KiB, as a power of two
        b"",
        b"",
    )
    fixed = HEADER.size + 2 * SEGMENT.size + len(descriptor) + len(target.idle) + 4 + _DIGEST_SIZE
    constants += _noise(max(size + -size % 16 - fixed - len(constants), 0), seed)
    segments = (
        (target.drom.start + HEADER.size + SEGMENT.size, descriptor + constants),
        (target.iram, target.idle),
    )
    image = HEADER.pack(
        MAGIC, len(segments), _DIO, _4_MB_40_MHZ, target.iram, _PIN_UNUSED, b"", target.id, 0, 0, 0xFFFF, 0, 1
    )
    checksum = CHECKSUM
    for address, data in segments:
        image += SEGMENT.pack(address, len(data)) + data
        checksum ^= xor(data)
    image += bytes(15 - len(image) % 16) + bytes((checksum,))
    return image + hashlib.sha256(image).digest()


def code_of(image: bytes) -> bytes | None:
    """The program in an image by ``make_image``; None where it carries none, or isn't one."""
    if len(image) < _CODE_OFFSET + _CODE.size:
        return None
    mark, length, check = _CODE.unpack_from(image, _CODE_OFFSET)
    code = image[_CODE_OFFSET + _CODE.size :][:length]
    return code if mark.rstrip(b"\0") == _MARK and zlib.crc32(code) == check else None


def _name(what: str, text: str) -> bytes:
    data = text.encode()
    if len(data) > 31:
        raise ValueError(f"the {what} {text!r} is longer than the 31 bytes that an app descriptor holds")
    return data


def _noise(size: int, seed: int) -> bytes:
    return hashlib.shake_256(str(seed).encode()).digest(size)
