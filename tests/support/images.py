"""App images built by esptool, what esptool says of an image, and ways to spoil one.

esptool runs as a program: it is GPL, and what it says is the oracle for our own parser.
"""

import hashlib
import random
import re
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.support.elf import RISCV, XTENSA, Section, elf
from tests.support.paths import program

ELF_SHA256_OFFSET = 0xB0
DESCRIPTOR_MAGIC = 0xABCD5432


class _Layout(NamedTuple):
    machine: int
    rodata: int
    text: int
    dram: int
    iram: int


LAYOUTS = {
    "esp32": _Layout(XTENSA, 0x3F400020, 0x400D0020, 0x3FFB0000, 0x40080400),
    "esp32s3": _Layout(XTENSA, 0x3C000020, 0x42000020, 0x3FC90000, 0x40374000),
    "esp32c3": _Layout(RISCV, 0x3C000020, 0x42000020, 0x3FC90000, 0x40380000),
}


def descriptor(
    *,
    version: str = "",
    project: str = "",
    secure_version: int = 0,
    time: str = "12:34:56",
    date: str = "Nov 23 2025",
    idf: str = "v5.5.1",
) -> bytes:
    """Build the 256 bytes of an app descriptor (esp_app_desc.h), its ELF digest still zero."""
    return struct.pack(
        "<II8s32s32s16s16s32s32sHHB75s",
        DESCRIPTOR_MAGIC,
        secure_version,
        b"",
        version.encode(),
        project.encode(),
        time.encode(),
        date.encode(),
        idf.encode(),
        b"",
        0,
        0,
        16,
        b"",
    )


def build_image(
    folder: Path,
    chip: str = "esp32",
    *,
    size: int = 20_000,
    version: str = "1.2.3",
    project: str = "demo",
    digest: bool = True,
) -> bytes:
    """Let esptool build an app image from an ELF with some `size` bytes of mapped data and code.

    The same arguments give the same image. `digest=False` leaves the appended SHA-256 out.
    """
    layout = LAYOUTS[chip]
    noise = random.Random(f"{chip} {size} {version}")
    described = descriptor(version=version, project=project)
    source = folder / "app.elf"
    source.write_bytes(
        elf(
            layout.machine,
            layout.iram,
            [
                Section(".flash.appdesc", layout.rodata, described),
                Section(".flash.rodata", layout.rodata + len(described), noise.randbytes(size // 2)),
                Section(".flash.text", layout.text, noise.randbytes(size // 2)),
                Section(".dram0.data", layout.dram, noise.randbytes(1234)),
                Section(".iram0.text", layout.iram, noise.randbytes(2345)),
            ],
        )
    )
    target = folder / "app.bin"
    options = [] if digest else ["--dont-append-digest"]
    _esptool(
        "--chip", chip, "elf2image", "--elf-sha256-offset", hex(ELF_SHA256_OFFSET), *options,
        "--flash-size", "4MB", "--output", str(target), str(source),
    )  # fmt: skip
    return target.read_bytes()


class Verdict(NamedTuple):
    """What esptool says of an image. A digest that is not there counts as right."""

    accepted: bool
    checksum_ok: bool
    digest_ok: bool
    text: str

    @property
    def sound(self) -> bool:
        """Whether esptool reads it as an image with nothing wrong in it."""
        return self.accepted and self.checksum_ok and self.digest_ok

    def field(self, name: str) -> str:
        """The value that stands after `name:`."""
        found = re.search(rf"^{re.escape(name)}:[ \t]*(.*?)[ \t]*$", self.text, re.MULTILINE)
        assert found, f"esptool says nothing of {name}:\n{self.text}"
        return found[1]


def esptool_verdict(image: bytes, folder: Path) -> Verdict:
    """Ask `esptool image-info` about an image."""
    path = folder / "image-info.bin"
    path.write_bytes(image)
    result = _run_esptool("image-info", str(path))
    return Verdict(
        accepted=result.returncode == 0,
        checksum_ok=bool(re.search(r"Checksum: 0x\w+ \(valid\)", result.stdout)),
        digest_ok=not re.search(r"Validation hash: \w+ \(invalid", result.stdout),
        text=result.stdout,
    )


def spoiled(image: bytes, changes: dict[int, bytes], *, reseal: bool = False) -> bytes:
    """A copy with other bytes at some offsets; `reseal` makes its appended SHA-256 right again."""
    data = bytearray(image)
    for offset, value in changes.items():
        data[offset : offset + len(value)] = value
    if reseal:
        data[-32:] = hashlib.sha256(data[:-32]).digest()
    return bytes(data)


def flipped(image: bytes, bit: int) -> bytes:
    """A copy with one bit changed; bit 0 is the lowest of the first byte."""
    return spoiled(image, {bit // 8: bytes([image[bit // 8] ^ 1 << bit % 8])})


def _run_esptool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("esptool"), *arguments], capture_output=True, text=True, check=False)


def _esptool(*arguments: str) -> None:
    result = _run_esptool(*arguments)
    assert result.returncode == 0, result.stdout + result.stderr
