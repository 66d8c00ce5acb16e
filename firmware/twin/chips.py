"""The chips a twin can be, as far as an image's acceptance depends on them.

Address ranges from ESP-IDF 5.5, components/soc/<chip>/include/soc/ext_mem_defs.h and soc.h; chip ids from
esp_app_format.h.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import TwinError


@dataclass(frozen=True)
class Chip:
    """One kind of ESP32."""

    name: str
    id: int
    """``chip_id`` of the image header."""
    revision: int
    """major * 100 + minor of the chip that the twin stands for."""
    block_revision: int | None
    """The same of its eFuse block; None where ESP-IDF doesn't check it (ESP32)."""
    drom: range
    irom: range
    iram: int
    """An address in instruction RAM that a bootloader loads to."""
    idle: bytes
    """Machine code that jumps to itself, padded to whole words."""

    def maps(self, address: int) -> bool:
        """Whether a segment at ``address`` is mapped from flash, not loaded."""
        return address in self.drom or address in self.irom


_XTENSA_IDLE = bytes.fromhex("06ffff00")
_RISCV_IDLE = bytes.fromhex("6f000000")

_ESP32 = Chip(
    "esp32",
    0,
    301,
    None,
    range(0x3F400000, 0x3F800000),
    range(0x400D0000, 0x40400000),
    0x40080400,
    _XTENSA_IDLE,
)
_ESP32S3 = Chip(
    "esp32s3",
    9,
    2,
    103,
    range(0x3C000000, 0x3E000000),
    range(0x42000000, 0x44000000),
    0x40378000,
    _XTENSA_IDLE,
)
_ESP32C3 = Chip(
    "esp32c3",
    5,
    4,
    103,
    range(0x3C000000, 0x3C800000),
    range(0x42000000, 0x42800000),
    0x40380000,
    _RISCV_IDLE,
)
CHIPS = {chip.name: chip for chip in (_ESP32, _ESP32S3, _ESP32C3)}


def chip(name: str) -> Chip:
    """The chip of that name. Raises TwinError for any other."""
    try:
        return CHIPS[name]
    except KeyError:
        raise TwinError(f"no twin of chip {name!r}: choose one of {', '.join(CHIPS)}") from None
