"""App images as files: read, checked and described, or refused with one clear line."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.esp32_ota import image as rules
from agent.protocol import limits
from broker_tools.errors import OtafleetError, os_reason
from broker_tools.text import size_text

FILE_MAX = 64 * 1024 * 1024
"""Longest file that is read, in bytes: no ESP32 has more flash."""
SLOTS = {"4 MB stock": 1_572_864, "4 MB": 1_835_008, "8 MB": 2_555_904}
"""Bytes of one OTA slot, by flash size: of MicroPython's own table for 4 MB, and of those in firmware/partitions."""


@dataclass(frozen=True, slots=True)
class AppImage:
    """A valid app image, cut to its own length. `trailing` is what followed it in the file."""

    source: str
    data: bytes
    trailing: bytes
    header: dict[str, Any]
    secure_version: int
    version: str
    project: str
    built: str
    idf: str
    elf_sha256: str

    @property
    def chip(self) -> str:
        """Name of the chip it is for, such as "esp32"."""
        return str(self.header["chip"])

    @property
    def sha256(self) -> str:
        """Digest of the image, 64 hex digits."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def fits(self) -> list[str]:
        """The names in `SLOTS` of the slots that hold it."""
        return [flash for flash, slot in SLOTS.items() if len(self.data) <= slot]


def read_file(path: Path) -> bytes:
    """Return what the file holds. Raises OtafleetError, one line, for every way in which that can fail."""
    try:
        if path.is_dir():
            raise OtafleetError(f"{path} is a directory; name an image file")
        with path.open("rb") as file:
            data = file.read(FILE_MAX + 1)
    except FileNotFoundError:
        raise OtafleetError(f"no file {path}") from None
    except OSError as error:
        raise OtafleetError(f"cannot read {path}: {os_reason(error)}") from None
    if not data:
        raise OtafleetError(f"{path} is empty")
    if len(data) > FILE_MAX:
        raise OtafleetError(f"{path} is larger than any ESP32's flash ({size_text(FILE_MAX)})")
    return data


def reader(data: bytes) -> Callable[[int, int], bytes]:
    """Return read(offset, length) over `data`, as the shared rules want it."""

    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    return read


def parse(data: bytes, source: str) -> AppImage:
    """Return the app image at the start of `data`; `source` names it in errors.

    Raises OtafleetError saying why it is not an app image.
    """
    read = reader(data)
    try:
        length = rules.verify(read, limits.IMAGE_MAX)
        header = rules.header(read)
        secure_version, version, project, time, date, idf, elf_sha256 = rules.descriptor(read)
    except rules.ImageError as error:
        raise OtafleetError(f"{source}: {error}") from None
    return AppImage(
        source=source,
        data=data[:length],
        trailing=data[length:],
        header=header,
        secure_version=secure_version,
        version=version,
        project=project,
        built=f"{date} {time}".strip(),
        idf=idf,
        elf_sha256=elf_sha256.hex(),
    )


def load(path: Path) -> AppImage:
    """Return the app image in the file `path`. Raises OtafleetError saying why there is none."""
    return parse(read_file(path), str(path))


def load_exact(path: Path) -> tuple[AppImage, str]:
    """Return an image that may be published, and a note when 0xFF padding after it was left out ("" if none).

    Raises OtafleetError when anything else follows the image: nobody could say what those bytes are for.
    """
    image = load(path)
    if not image.trailing:
        return image, ""
    extra = size_text(len(image.trailing))
    if image.trailing.strip(b"\xff"):
        message = (
            f"{path} goes on for {extra} after the end of the app image; "
            "publish the app image alone (otafleet image extract cuts it out of a merged file)"
        )
        raise OtafleetError(message)
    return image, f"left out {extra} of 0xFF padding after the image"
