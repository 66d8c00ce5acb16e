"""What an ESP32 application image says of itself, and whether it is whole.

Pure: the same source runs on CPython and on MicroPython. Images are reached through a function
`read(offset, length)` that returns bytes (or a memoryview of a buffer that it uses again), fewer than asked for
where the image ends. The format is ESP-IDF v5.5's (esp_app_format.h, esp_app_desc.h, esp_image_format.c):

    0    header, 24 bytes: magic, number of segments, entry point, chip, ..., is a digest appended
    24   segments, each 8 bytes (load address, length) and its data; the first data, at 32, begins
         with the app descriptor of 256 bytes
    ...  zeros up to the last byte of a 16-byte block, which is the checksum: 0xEF XOR all segment data
    ...  SHA-256 of everything before it, 32 bytes, if the header says so

Whatever follows (the rest of a slot, a signature) is not looked at.
"""

import hashlib
import struct

MAGIC = 0xE9
HEADER_SIZE = 24
SEGMENTS_MAX = 16
SEGMENT_SIZE_LIMIT = 16 * 1024 * 1024
DESCRIPTOR_OFFSET = 32
DESCRIPTOR_SIZE = 256
DESCRIPTOR_MAGIC = 0xABCD5432
TABLE_MAGIC = b"\xaa\x50"
# Bytes read, hashed and folded in one step of verify_steps(), unless told otherwise.
PIECE = 4096

# esp_chip_id_t of ESP-IDF, by the names that esptool and MicroPython's boards use.
CHIPS = {
    "esp32": 0,
    "esp32s2": 2,
    "esp32c3": 5,
    "esp32s3": 9,
    "esp32c2": 12,
    "esp32c6": 13,
    "esp32h2": 16,
    "esp32p4": 18,
    "esp32c61": 20,
    "esp32c5": 23,
    "esp32h21": 25,
    "esp32h4": 28,
    "esp32s31": 32,
}

# Where flash is mapped (soc.h: SOC_DROM_LOW to _HIGH, SOC_IROM_LOW to _HIGH), in pages of 64 KiB, by chip id. Only
# the chips that we have boards for: elsewhere pages may be smaller, and set_boot() finds out.
_MAPPED = {
    0: (0x3F40, 0x3F80, 0x400D, 0x4040),
    5: (0x3C00, 0x3C80, 0x4200, 0x4280),
    9: (0x3C00, 0x3E00, 0x4200, 0x4400),
}


class ImageError(Exception):
    """This is no sound app image. str() says why, to stand after the image's name. `code` is one of not_an_image,
    merged_image, no_descriptor, wrong_chip, bad_segments, bad_checksum, bad_digest, truncated, too_large."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _exactly(read, offset, length):
    data = read(offset, length)
    if len(data) < length:
        raise ImageError("truncated", "cut short: it ends at byte %d" % (offset + len(data)))
    return data


def _refuse(read, code, message):
    # A merged download starts with the bootloader, which lies at flash 0x0, 0x1000 or 0x2000 depending on the
    # chip; the partition table lies at flash 0x8000, so it shows up this far from the start of the file.
    for offset in (0x7000, 0x8000, 0x6000):
        if bytes(read(offset, 2)) == TABLE_MAGIC:
            code = "merged_image"
            message = (
                "a merged download (bootloader, partition table, app): "
                "cut the app out with `otafleet image extract`"
            )
    raise ImageError(code, message)


def chip_name(chip_id: int) -> str:
    """The name of a chip id, or "" for one that is not in CHIPS."""
    for name, known in CHIPS.items():
        if known == chip_id:
            return name
    return ""


def header(read) -> dict:
    """The header's fields: segments, spi_mode, flash_size (its code), entry, chip_id, chip (name or ""),
    min_chip_rev and max_chip_rev (major * 100 + minor; 0 = not set), hash_appended.

    Raises ImageError not_an_image, merged_image, truncated or bad_segments.
    """
    raw = read(0, HEADER_SIZE)
    if len(raw) == 0 or raw[0] != MAGIC:
        _refuse(read, "not_an_image", "not an ESP32 app image: it does not start with 0xE9")
    raw = _exactly(read, 0, HEADER_SIZE)
    _, segments, mode, flash, entry, _, _, chip_id, _, low, high = struct.unpack("<BBBBIB3sHBHH", raw[:19])
    appended = raw[23] != 0
    if not 1 <= segments <= SEGMENTS_MAX:
        _refuse(read, "bad_segments", "damaged: it claims %d segments, 1 to 16 are possible" % segments)
    return {
        "segments": segments,
        "spi_mode": mode,
        "flash_size": flash >> 4,
        "entry": entry,
        "chip_id": chip_id,
        "chip": chip_name(chip_id),
        "min_chip_rev": low,
        "max_chip_rev": 0 if high == 0xFFFF else high,
        "hash_appended": appended,
    }


def _text(raw):
    # Fields are filled up with NUL and may lack one at the end (an unbounded strlen is a defect of #7048).
    raw = bytes(raw).split(b"\0", 1)[0]
    try:
        return str(raw, "utf-8")
    except UnicodeError:
        return "".join([chr(c) if c < 128 else "?" for c in raw])


def parse_descriptor(raw: bytes) -> tuple:
    """The 7-tuple of #7048's app_description() from the 256 bytes of an app descriptor: (secure_version, version,
    project_name, time, date, idf_ver, app_elf_sha256), or () if they are not one."""
    fields = struct.unpack("<II8s32s32s16s16s32s32s", raw[:176])
    if fields[0] != DESCRIPTOR_MAGIC:
        return ()
    return (fields[1],) + tuple([_text(raw) for raw in fields[3:8]]) + (bytes(fields[8]),)


def descriptor(read) -> tuple:
    """The app descriptor of an image as the 7-tuple of parse_descriptor().

    Raises ImageError not_an_image, merged_image, truncated, bad_segments or no_descriptor.
    """
    header(read)
    found = parse_descriptor(_exactly(read, DESCRIPTOR_OFFSET, DESCRIPTOR_SIZE))
    if not found:
        _refuse(read, "no_descriptor", "not an app image: it has no app descriptor, like a bootloader")
    return found


def _check_chip(head, chip):
    name = head["chip"] or "chip id %d" % head["chip_id"]
    if chip is None:
        if not head["chip"]:
            raise ImageError("wrong_chip", "made for %s, which is not known here" % name)
    elif head["chip_id"] != CHIPS.get(chip, chip):
        wanted = chip_name(chip) if isinstance(chip, int) else chip
        raise ImageError("wrong_chip", "made for %s, not for %s" % (name, wanted or chip))


def _segments(read, head):
    # Where each segment starts (at its own header) and stops.
    d_low, d_high, i_low, i_high = _MAPPED.get(head["chip_id"], (0, 0, 0, 0))
    start = HEADER_SIZE
    for number in range(head["segments"]):
        address, length = struct.unpack("<II", _exactly(read, start, 8))
        if length % 4 or length >= SEGMENT_SIZE_LIMIT:
            raise ImageError("bad_segments", "damaged: segment %d cannot be %d bytes long" % (number, length))
        page = address >> 16
        if (d_low <= page < d_high or i_low <= page < i_high) and (address ^ (start + 8)) & 0xFFFF:
            raise ImageError(
                "bad_segments", "damaged: segment %d cannot be mapped to 0x%x" % (number, address)
            )
        stop = start + 8 + length
        yield start, stop
        start = stop


def _whole(end, head):
    # The length of an image whose last segment stops at `end`: checksum at the end of a block, then the digest.
    return end + 16 - end % 16 + (32 if head["hash_appended"] else 0)


def length(read) -> int:
    """How many bytes the image is long by what its headers say; the bytes themselves are not looked at.

    Raises ImageError not_an_image, merged_image, truncated or bad_segments.
    """
    head = header(read)
    end = HEADER_SIZE
    for _, stop in _segments(read, head):
        end = stop
    return _whole(end, head)


def _fold(value):
    bits = PIECE * 8
    while bits > 8:
        bits >>= 1
        value = (value >> bits) ^ (value & ((1 << bits) - 1))
    return value


def verify_steps(read, limit: int, chip=None, checksum: bool = True, piece: int = PIECE):
    """Check the whole image as ESP-IDF's esp_image_verify() does, and that it is an app, in steps.

    A generator: each step reads at most `piece` bytes (256 to PIECE) and yields how many bytes it has come; its
    return value is the image's length. `limit` is the size of the slot that it must fit, `chip` the name or id it
    must be built for, if any. checksum=False leaves the XOR checksum out where an appended digest covers the same
    bytes. ESP-IDF also checks chip revision, efuse block revision and signatures, which can't be done here.

    Raises ImageError with any of its codes.
    """
    head = header(read)
    _check_chip(head, chip)
    descriptor(read)
    checksum = checksum or not head["hash_appended"]
    digest = hashlib.sha256(_exactly(read, 0, HEADER_SIZE))
    folded = 0
    end = HEADER_SIZE
    for start, stop in _segments(read, head):
        if stop > limit:
            raise ImageError("too_large", "too large: it needs more than the %d bytes of its slot" % limit)
        digest.update(_exactly(read, start, 8))
        end = start + 8
        while end < stop:
            raw = _exactly(read, end, min(piece, stop - end))
            digest.update(raw)
            if checksum:
                # All byte lanes side by side in one big integer, folded once at the end: a loop over bytes takes
                # a hundred times as long on MicroPython.
                folded ^= int.from_bytes(raw, "little")
            end += len(raw)
            yield end
    whole = _whole(end, head)
    if whole > limit:
        raise ImageError("too_large", "too large: its %d bytes do not fit a slot of %d" % (whole, limit))
    padding = 16 - end % 16
    raw = _exactly(read, end, padding)
    digest.update(raw)
    if checksum and raw[padding - 1] != _fold(folded) ^ 0xEF:
        raise ImageError("bad_checksum", "damaged: its checksum does not match")
    if head["hash_appended"] and bytes(_exactly(read, whole - 32, 32)) != digest.digest():
        raise ImageError("bad_digest", "damaged: its SHA-256 does not match")
    return whole


def finish(steps):
    """Run a generator of steps to its end; its return value."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def verify(read, limit: int, chip=None) -> int:
    """verify_steps() in one go: the image's length in bytes, or ImageError."""
    return finish(verify_steps(read, limit, chip))
