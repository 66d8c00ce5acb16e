"""ESP-IDF's partition tables as CSV, read by the rules of its gen_esp32part.py (v5.5)."""

from pathlib import Path
from typing import NamedTuple

TYPES = {"app": 0, "data": 1}
SUBTYPES = {
    "app": {"factory": 0, **{f"ota_{n}": 0x10 + n for n in range(16)}},
    "data": {
        "ota": 0,
        "phy": 1,
        "nvs": 2,
        "coredump": 3,
        "nvs_keys": 4,
        "fat": 0x81,
        "spiffs": 0x82,
        "littlefs": 0x83,
    },
}
SECTOR = 0x1000
# What comes before the first partition: boot loader, and the table itself at 0x8000, one sector long.
FIRST_OFFSET = 0x9000
# App slots begin on a page of the chips' memory management unit.
APP_ALIGNMENT = 0x10000


class Partition(NamedTuple):
    """One line of a table; offset and size in bytes."""

    name: str
    type: str
    subtype: str
    offset: int
    size: int


def read(path: Path) -> list[Partition]:
    """The partitions of a table."""
    table = []
    for line in path.read_text().splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            name, kind, subtype, offset, size, flags = (field.strip() for field in line.split(","))
            assert flags == "", f"{path.name}: {name} has flags"
            table.append(Partition(name, kind, subtype, int(offset, 0), int(size, 0)))
    return table


def problems(table: list[Partition], flash_size: int) -> list[str]:
    """What gen_esp32part.py would refuse, one sentence each."""
    found = []
    end = FIRST_OFFSET
    for part in table:
        if part.type not in TYPES or part.subtype not in SUBTYPES[part.type]:
            found.append(f"{part.name}: no such type")
        if not 0 < len(part.name.encode()) <= 16:
            found.append(f"{part.name}: a name has 1 to 16 bytes")
        if part.offset < end:
            found.append(f"{part.name}: overlaps what is before it")
        if part.offset % (APP_ALIGNMENT if part.type == "app" else SECTOR):
            found.append(f"{part.name}: not aligned")
        if part.size <= 0 or part.size % SECTOR:
            found.append(f"{part.name}: not whole sectors")
        end = part.offset + part.size
    if end > flash_size:
        found.append(f"ends at {end:#x}, flash at {flash_size:#x}")
    if len({part.name for part in table}) < len(table):
        found.append("a name twice")
    otadata = [part.size for part in table if (part.type, part.subtype) == ("data", "ota")]
    if otadata != [2 * SECTOR]:
        found.append("otadata must be there once, with two sectors")
    return found
