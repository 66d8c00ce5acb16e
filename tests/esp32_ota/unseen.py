"""Which single bits of an image can flip without ESP-IDF noticing, and why: a rule instead of a list for each image.

ESP-IDF v5.5, esp_image_format.c and bootloader_common_loader.c, without secure boot. An appended digest covers every
byte but the one that says that it is there. Without one, the checksum covers the data of the segments, and what lies
around it counts only as far as ESP-IDF reads it. Held against that code itself, run on images of three chips.

A flip that moves the checksum (of the number of segments, of a length) finds a byte that happens to be right in one
of 256 cases. The images of these tests have no such bit, so the rule leaves it out.
"""

import struct
from typing import NamedTuple

from firmware.twin.verify import HEADER, PAGE, SEGMENT, xor
from tests.support.images import flipped

HASH_APPENDED = 23
_BLOCK = 16
"""The image is filled up with zeros and the checksum to a multiple of this."""
_IGNORED = {
    "SPI mode, speed and flash size: those of the bootloader's header count": range(2, 4),
    "entry point: jumped to as it is": range(4, 8),
    "pins of the flash: those of the bootloader's header count": range(8, 12),
    "least revision in its old form": range(14, 15),
    "reserved": range(19, 23),
}
_REVISIONS = range(15, 19)


class Segment(NamedTuple):
    """Where the header of a segment and its data lie in the image, and where the data is to go."""

    header: int
    start: int
    stop: int
    address: int


def segments(image):
    """The segments of a sound image, in order."""
    found = []
    offset = HEADER.size
    for _ in range(image[1]):
        address, length = SEGMENT.unpack_from(image, offset)
        found.append(Segment(offset, offset + SEGMENT.size, offset + SEGMENT.size + length, address))
        offset = found[-1].stop
    return found


def frame(image):
    """Offsets of all bytes that are not a segment's data: headers, padding, checksum and digest."""
    parts = segments(image)
    heads = [offset for part in parts for offset in range(part.header, part.start)]
    return [*range(HEADER.size), *heads, *range(parts[-1].stop, len(image))]


def accepted(image, chip):
    """The bits that ESP-IDF accepts either way on this chip, with the reason; bit 0 is the lowest of the first byte."""
    if image[HASH_APPENDED]:
        return {HASH_APPENDED * 8: "1 to 0 switches the digest off, and the checksum covers no header"}
    parts = segments(image)
    end = parts[-1].stop
    found = {bit: why for why, places in _IGNORED.items() for bit in _bits(places)}
    for bit in set(_bits(_REVISIONS)) - beyond_revision(image, chip):
        found[bit] = "the revision of this chip is still in the range"
    for part in parts:
        for n in range(32):
            address = part.address ^ 1 << n
            if not chip.maps(address) or (part.start - address) % PAGE == 0:
                found[part.header * 8 + n] = "loaded, or mapped to the same place of another page"
    for n in range(2, 32):
        other = parts[-1].start + (end - parts[-1].start ^ 1 << n)
        if other // _BLOCK == end // _BLOCK and not xor(image[min(end, other) : max(end, other)]):
            found[(parts[-1].header + 4) * 8 + n] = "only zeros go from the data to the padding or back"
    for bit in _bits(range(end, end - end % _BLOCK + _BLOCK - 1)):
        found[bit] = "padding before the checksum"
    return found


def beyond_revision(image, chip):
    """The bits that make an image one for other revisions than this chip's, where no digest covers them.

    ESP-IDF's esp_ota_end() refuses it. From Python the revision can't be seen, and it is left to set_boot().
    """
    found = set()
    for bit in () if image[HASH_APPENDED] else _bits(_REVISIONS):
        low, high = struct.unpack_from("<HH", flipped(image, bit), _REVISIONS.start)
        if chip.revision < low or (high not in (0, 0xFFFF) and chip.revision > high):
            found.add(bit)
    return found


def _bits(offsets):
    return [offset * 8 + n for offset in offsets for n in range(8)]
