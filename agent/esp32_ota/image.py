"""What an ESP32 application image says of itself, and whether it is whole.

Pure: the same source runs on CPython and on MicroPython. Images are reached through a function
`read(offset, length)` that returns bytes (or a memoryview of them), fewer than asked for at the end.
The format is ESP-IDF v5.5's (esp_app_format.h, esp_app_desc.h, esp_image_format.c):

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

# esp_chip_id_t of ESP-IDF, by the name that esptool and MicroPython's boards use.
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


class ImageError(Exception):
    """This is no sound app image. `code` is one of not_an_image, merged_image, no_descriptor, wrong_chip,
    bad_segments, bad_checksum, bad_digest, truncated, too_large; str() is one line for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _exactly(read, offset, length):
    data = read(offset, length)
    if len(data) < length:
        raise ImageError("truncated", "The image is cut short: it ends at byte %d." % (offset + len(data)))
    return data


def _is_merged(read):
    # A merged download starts with the bootloader, which lies at flash 0x0, 0x1000 or 0x2000 depending on the
    # chip; the partition table lies at flash 0x8000, so it shows up this far from the start of the file.
    for offset in (0x7000, 0x8000, 0x6000):
        if bytes(read(offset, 2)) == TABLE_MAGIC:
            return True
    return False


def _refuse(read, code, message):
    if _is_merged(read):
        raise ImageError(
            "merged_image",
            "This is a merged download (bootloader, partition table and app): cut the app out with "
            "`otafleet image extract`.",
        )
    raise ImageError(code, message)


def chip_name(chip_id: int) -> str:
    """The name of a chip id, or "" for one that this list does not know."""
    for name in CHIPS:
        if CHIPS[name] == chip_id:
            return name
    return ""


def header(read) -> dict:
    """The header's fields: segments, spi_mode, flash_size (code), entry, chip_id, chip (name or ""), min_chip_rev,
    max_chip_rev (major * 100 + minor; 0 = not set) and hash_appended.

    Raises ImageError not_an_image, merged_image, truncated or bad_segments.
    """
    raw = read(0, HEADER_SIZE)
    if len(raw) == 0 or raw[0] != MAGIC:
        _refuse(read, "not_an_image", "This is not an ESP32 app image: it does not start with 0xE9.")
    raw = _exactly(read, 0, HEADER_SIZE)
    _, segments, mode, flash, entry, _, _, chip_id, _, low, high = struct.unpack("<BBBBIB3sHBHH", raw[:19])
    if not 1 <= segments <= SEGMENTS_MAX:
        _refuse(read, "bad_segments", "The image names %d segments; 1 to %d are possible." % (segments, SEGMENTS_MAX))
    return {
        "segments": segments,
        "spi_mode": mode,
        "flash_size": flash >> 4,
        "entry": entry,
        "chip_id": chip_id,
        "chip": chip_name(chip_id),
        "min_chip_rev": low,
        "max_chip_rev": 0 if high == 0xFFFF else high,
        "hash_appended": raw[23] != 0,
    }


def _text(raw):
    # The fields are filled up with NUL and may lack one at the end (unbounded strlen is a defect of #7048).
    raw = bytes(raw).split(b"\0", 1)[0]
    try:
        return str(raw, "utf-8")
    except UnicodeError:
        return "".join([chr(c) if c < 128 else "?" for c in raw])


def parse_descriptor(raw: bytes) -> tuple:
    """The 7-tuple of #7048's app_description() from the 256 bytes of an app descriptor:
    (secure_version, version, project_name, time, date, idf_ver, app_elf_sha256), or () if they are not one."""
    magic, secure, _, version, project, time, date, idf, elf = struct.unpack("<II8s32s32s16s16s32s32s", raw[:176])
    if magic != DESCRIPTOR_MAGIC:
        return ()
    return (secure, _text(version), _text(project), _text(time), _text(date), _text(idf), bytes(elf))


def descriptor(read) -> tuple:
    """The app descriptor of the image as the 7-tuple of parse_descriptor().

    Raises ImageError not_an_image, merged_image, truncated, bad_segments or no_descriptor.
    """
    header(read)
    found = parse_descriptor(_exactly(read, DESCRIPTOR_OFFSET, DESCRIPTOR_SIZE))
    if not found:
        _refuse(read, "no_descriptor", "The image carries no app descriptor: it is a bootloader or not made by ESP-IDF.")
    return found


def verify_steps(read, limit: int, chip=None, checksum: bool = True, piece: int = PIECE):
    """Check the whole image as ESP-IDF's esp_image_verify() does, and that it is an app, in steps.

    A generator: each step reads at most `piece` bytes (256 to PIECE) and yields how far it has come (in bytes); its return
    value is the image's length. `limit` is the size of the slot it must fit; `chip` the name or id it must
    be built for, if any. `checksum=False` leaves the XOR checksum out where an appended digest covers
    the same bytes. What ESP-IDF checks and this can't: chip revision, efuse block revision, signatures.

    Raises ImageError with any of its codes.
    """
    head = header(read)
    if chip is None:
        if not head["chip"]:
            raise ImageError("wrong_chip", "The image is for a chip that is not known here: id %d." % head["chip_id"])
    elif head["chip_id"] != CHIPS.get(chip, chip):
        name = head["chip"] or "chip id %d" % head["chip_id"]
        wanted = chip_name(chip) if isinstance(chip, int) else chip
        raise ImageError("wrong_chip", "The image is for %s, not for %s." % (name, wanted or "chip id %s" % chip))
    descriptor(read)
    hashed = head["hash_appended"]
    checksum = checksum or not hashed
    digest = hashlib.sha256(_exactly(read, 0, HEADER_SIZE))
    folded = 0
    end = HEADER_SIZE
    for number in range(head["segments"]):
        raw = _exactly(read, end, 8)
        address, length = struct.unpack("<II", raw)
        digest.update(raw)
        end += 8
        if length % 4 or length >= SEGMENT_SIZE_LIMIT:
            raise ImageError("bad_segments", "Segment %d has an impossible length of %d bytes." % (number, length))
        stop = end + length
        if stop > limit:
            raise ImageError("too_large", "The image needs more than the %d bytes of its slot." % limit)
        while end < stop:
            raw = _exactly(read, end, min(piece, stop - end))
            digest.update(raw)
            if checksum:
                # Byte lanes side by side in one big integer, folded once at the end: a loop over bytes takes a hundred
                # times as long on MicroPython.
                folded ^= int.from_bytes(raw, "little")
            end += len(raw)
            yield end
    padding = 16 - end % 16
    raw = _exactly(read, end, padding)
    digest.update(raw)
    if checksum and raw[padding - 1] != _fold(folded) ^ 0xEF:
        raise ImageError("bad_checksum", "The image is damaged: its checksum does not match.")
    end += padding
    if hashed:
        if bytes(_exactly(read, end, 32)) != digest.digest():
            raise ImageError("bad_digest", "The image is damaged: its SHA-256 does not match.")
        end += 32
    if end > limit:
        raise ImageError("too_large", "The image of %d bytes does not fit the %d bytes of its slot." % (end, limit))
    return end


def length(read) -> int:
    """The image's length in bytes as its segment headers have it; nothing else is checked.

    Raises ImageError not_an_image, merged_image, truncated or bad_segments.
    """
    head = header(read)
    end = HEADER_SIZE
    for _ in range(head["segments"]):
        end += 8 + struct.unpack("<I", bytes(_exactly(read, end, 8))[4:])[0]
    return end + 16 - end % 16 + (32 if head["hash_appended"] else 0)


def _fold(value):
    bits = PIECE * 8
    while bits > 8:
        bits >>= 1
        value = (value >> bits) ^ (value & ((1 << bits) - 1))
    return value


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
