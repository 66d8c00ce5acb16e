"""The OTA slots of this chip and what otadata records of them, through the stock esp32.Partition."""

from esp32 import Partition as Stock

from . import otadata
from .errors import esp_error

SECTOR = 4096
OTA_0 = 0x10
_OTA_15 = 0x1F
# Bytes of the buffer that a verification makes for itself where the caller lends none.
_BUFFER = 1024


def count():
    """How many slots otadata counts: ota_0, ota_1, ... up to the first that is missing."""
    slots = 0
    while Stock.find(Stock.TYPE_APP, OTA_0 + slots):
        slots += 1
    return slots


def number_of(part):
    """n of ota_n, or None for a partition that is no OTA slot."""
    kind, subtype = part.info()[:2]
    return subtype - OTA_0 if kind == Stock.TYPE_APP and OTA_0 <= subtype <= _OTA_15 else None


def running():
    """The partition of the running app."""
    return Stock(Stock.RUNNING)


def records():
    """The otadata partition and its two records, or (None, None) where the table has none."""
    found = Stock.find(Stock.TYPE_DATA, 0)
    if not found:
        return None, None
    both = []
    for sector in (0, 1):
        raw = bytearray(otadata.RECORD_SIZE)
        found[0].readblocks(sector, raw, 0)
        both.append(otadata.parse(raw))
    return found[0], both


def state_of(part):
    """The recorded state of a slot, or None."""
    table, both = records()
    number = number_of(part)
    return None if table is None or number is None else otadata.state_of(both, number, count())


def forget(number):
    """Erase every sound record of a slot that is about to be overwritten, unless no record decides at all."""
    table, both = records()
    if table and otadata.active(both) >= 0:
        slots = count()
        for sector in (0, 1):
            if otadata.is_sound(both[sector]) and otadata.slot_of(both[sector], slots) == number:
                table.ioctl(6, sector)


def _reader(part, buf):
    # image's read(offset, length) over a partition, through one buffer.
    view = memoryview(buf)

    def read(offset, length):
        part.readblocks(0, view[:length], offset)
        return view[:length]

    return read


def verify_steps(part, buf=None):
    """Check that `part` holds a sound image for this chip, in steps. ESP_ERR_OTA_VALIDATE_FAILED if not."""
    from . import (
        image,
    )  # the largest module of this package: loaded when an image is looked at, and only then

    buf = buf or bytearray(_BUFFER)
    chip = image.header(_reader(running(), buf))["chip_id"]
    try:
        # The signed digest and set_boot() cover the same bytes as the checksum, which costs heap in Python.
        yield from image.verify_steps(
            _reader(part, buf), part.info()[3], chip, False, min(len(buf), image.PIECE)
        )
    except image.ImageError:
        raise esp_error("ESP_ERR_OTA_VALIDATE_FAILED")
