"""Updates under way: one handle for each slot that is being written.

Handles are numbers from 1. No number is given out twice before the next reset, soft or hard, so a handle that was
freed is never taken for another.
"""

from . import slots
from .image import MAGIC
from .errors import esp_error

opened = {}
_last = 0


class Handle:
    """A slot being written: `part` with blocks of 4096 bytes, `size` of the slot, `wrote` bytes so far, `begun`
    once ota_end has something to look at. With `on_demand` each sector is erased when it is first written to."""

    def __init__(self, part, on_demand):
        # Found again, because the caller's may have blocks of another size.
        kind, subtype, _, self.size = part.info()[:4]
        self.part = slots.Stock.find(kind, subtype)[0]
        self.wrote = 0
        self.begun = False
        # One bit per sector.
        self._erased = bytearray((self.size // slots.SECTOR + 7) // 8) if on_demand else None

    def _erase(self, offset, size):
        # The whole range is checked before its first sector is erased.
        if not 0 <= offset <= self.size:
            raise esp_error("ESP_ERR_INVALID_ARG")
        if offset + size > self.size:
            raise esp_error("ESP_ERR_INVALID_SIZE")
        for sector in range(offset // slots.SECTOR, (offset + size - 1) // slots.SECTOR + 1):
            bit = 1 << (sector & 7)
            if not self._erased[sector >> 3] & bit:
                self.part.ioctl(6, sector)
                self._erased[sector >> 3] |= bit

    def write(self, buf, offset, is_start):
        """Program an object of bytes; with `is_start`, only if it begins like an image."""
        size = len(buf)
        if size:
            if self._erased:
                self._erase(offset, size)
            if is_start and buf[0] != MAGIC:
                raise esp_error("ESP_ERR_OTA_VALIDATE_FAILED")
            self.part.writeblocks(0, buf, offset)
            self.wrote += size
            self.begun = True


def count_from(number):
    """Give out numbers above this one."""
    global _last
    _last = number


def keep(handle):
    """Give a handle its number."""
    global _last
    _last += 1
    opened[_last] = handle
    return _last


def get(number, error):
    """The handle of a number, or the ESP-IDF error that the caller gives for an unknown one."""
    if number not in opened:
        raise esp_error(error)
    return opened[number]


def free(number):
    """Take a handle away. ESP_ERR_NOT_FOUND where there is none."""
    found = get(number, "ESP_ERR_NOT_FOUND")
    del opened[number]
    return found
