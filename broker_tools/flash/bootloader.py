"""The second-stage bootloader in a download: cut out, checked, and told how large the flash is.

It is an image like an app's, without an app descriptor (ESP-IDF 5.5, esp_app_format.h). The flash size in its header
decides what ESP-IDF takes the flash for: a partition table that goes beyond it is refused at boot
(bootloader_flash_config and flash_partitions.c), so the header has to name the flash that is really there.
"""

import hashlib
import struct
from typing import Final

from agent.esp32_ota import image as rules
from broker_tools.errors import OtafleetError

ADDRESSES: Final = {
    "esp32": 0x1000,
    "esp32s2": 0x1000,
    "esp32s3": 0x0,
    "esp32c2": 0x0,
    "esp32c3": 0x0,
    "esp32c6": 0x0,
    "esp32h2": 0x0,
    "esp32p4": 0x2000,
    "esp32c5": 0x2000,
}
"""Where in flash each chip's ROM looks for its bootloader."""

_SIZE_MB: Final = (1, 2, 4, 8, 16, 32, 64, 128)
"""Flash sizes by the upper half of header byte 3 (esp_image_flash_size_t)."""
_CHIP_ID: Final = struct.Struct("<H")
_REVISIONS: Final = struct.Struct("<HH")
_NO_LIMIT: Final = 0xFFFF
_SEGMENT: Final = struct.Struct("<II")
_DIGEST: Final = 32


def cut(data: bytes, chip: str) -> bytes:
    """Return the bootloader image at the start of `data`.

    Raises OtafleetError when there is none for `chip`, or when it is damaged.
    """
    if len(data) < rules.HEADER_SIZE or data[0] != rules.MAGIC:
        raise OtafleetError(f"there is no bootloader for {chip} in the file")
    if _CHIP_ID.unpack_from(data, 12)[0] != rules.CHIPS[chip]:
        raise OtafleetError(f"the bootloader in the file is not for {chip}, as the app is")
    end, checksum = rules.HEADER_SIZE, 0xEF
    for _ in range(data[1]):
        if end + _SEGMENT.size > len(data):
            raise OtafleetError("the bootloader in the file is cut short")
        _, length = _SEGMENT.unpack_from(data, end)
        for byte in data[end + _SEGMENT.size : end + _SEGMENT.size + length]:
            checksum ^= byte
        end += _SEGMENT.size + length
    end += 16 - end % 16
    image = data[: end + (_DIGEST if data[23] else 0)]
    if len(image) < end or image[end - 1] != checksum or (data[23] and image[end:] != _sha256(image[:end])):
        raise OtafleetError("the bootloader in the file is damaged")
    return image


def for_flash(image: bytes, size: int) -> bytes:
    """Return the bootloader with a flash of `size` bytes in its header, and its digest made right again.

    Raises OtafleetError for a size that the header has no code for.
    """
    megabytes = size >> 20
    if megabytes not in _SIZE_MB:
        raise OtafleetError(f"no ESP32 has {size:,} bytes of flash")
    told = bytearray(image)
    told[3] = told[3] & 0x0F | _SIZE_MB.index(megabytes) << 4
    if told[23]:
        told[-_DIGEST:] = _sha256(bytes(told[:-_DIGEST]))
    return bytes(told)


def revisions(image: bytes) -> tuple[int, int]:
    """Return the lowest and the highest revision of the chip (major * 100 + minor) that an image, also an app, runs on.

    ESP-IDF boots no app outside of them; esptool 5 writes no such bootloader, but only notes it of an app.
    """
    low, high = _REVISIONS.unpack_from(image, 15)
    return low, high or _NO_LIMIT


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
