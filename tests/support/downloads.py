"""MicroPython downloads as they come from the web, with an app that a twin runs."""

import hashlib
import struct
from pathlib import Path

from agent.esp32_ota.image import CHIPS
from broker_tools import twins
from firmware.twin import partition_table
from firmware.twin.partition_table import APP, DATA, DATA_NVS, DATA_PHY, FACTORY, Partition

BANNER = b"# MicroPython v1.28.0 on 2026-04-06\n"
"""What tells a build of MicroPython: the agent's default app follows it."""
STARTS = {"esp32": 0x1000, "esp32s3": 0, "esp32c3": 0}
STOCK = (
    Partition(DATA, DATA_NVS, 0x9000, 0x6000, "nvs"),
    Partition(DATA, DATA_PHY, 0xF000, 0x1000, "phy_init"),
    Partition(APP, FACTORY, 0x10000, 0x1F0000, "factory"),
)
"""partitions-4MiBplus.csv of MicroPython v1.26 and later: no slot for an update, and no row for the files."""


def bootloader(chip: str) -> bytes:
    """An image of one segment, as esptool makes bootloaders: DIO, 40 MHz, 4 MB in its header, and a digest."""
    code = b"bootloader of a test" * 50
    header = struct.pack("<BBBBI4xHBHH4xB", 0xE9, 1, 2, 0x20, 0x40080000, CHIPS[chip], 0, 0, 0xFFFF, 1)
    body = header + struct.pack("<II", 0x40080000, len(code)) + code
    body += bytes(15 - len(body) % 16)
    checksum = 0xEF
    for byte in code:
        checksum ^= byte
    body += bytes([checksum])
    return body + hashlib.sha256(body).digest()


def app(chip: str = "esp32", *, banner: bytes = BANNER, size: int = 0) -> bytes:
    """An app image that leaves what it does to /main.py, as MicroPython does; `banner` is somewhere in it."""
    return twins.image(banner + b"execfile('/main.py')\n", "", "", chip=chip, size=size)


def merged(chip: str = "esp32", image: bytes | None = None) -> bytes:
    """A complete download: bootloader, a table with one app partition, and the app."""
    start = STARTS[chip]
    data = bytearray(b"\xff" * (0x10000 - start))
    loader = bootloader(chip)
    data[: len(loader)] = loader
    table = partition_table.pack(STOCK)[:0xC00]
    data[0x8000 - start : 0x8000 - start + len(table)] = table
    return bytes(data) + (app(chip) if image is None else image)


def write(folder: Path, chip: str = "esp32") -> Path:
    """Put a complete download into `folder` and return its path."""
    path = folder / f"{chip}-1.28.0.bin"
    path.write_bytes(merged(chip))
    return path
