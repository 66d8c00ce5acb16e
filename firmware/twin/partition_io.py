"""Reading and writing within a partition: ESP-IDF's checks, and what MicroPython's block device makes of them.

esp_partition.c (ESP-IDF 5.5) and ports/esp32/esp32_partition.c (MicroPython 1.28). Offsets are 32 bit
unsigned, as there.
"""

from __future__ import annotations

from .errors import esp_error
from .flash import SECTOR, Flash
from .partition_table import Partition


def read(flash: Flash, partition: Partition, offset: int, size: int) -> bytes:
    """``esp_partition_read``. Raises EspError."""
    _check(partition, offset, size)
    return flash.read(partition.address + offset, size)


def write(flash: Flash, partition: Partition, offset: int, data: bytes) -> None:
    """``esp_partition_write``: no erase. Raises EspError, Abort, PowerLost."""
    _check(partition, offset, len(data))
    flash.program(partition.address + offset, data)


def erase(flash: Flash, partition: Partition, offset: int, size: int) -> None:
    """``esp_partition_erase_range``. Raises EspError, Abort, PowerLost."""
    _check(partition, offset, size)
    if size % SECTOR:
        raise esp_error("ESP_ERR_INVALID_SIZE")
    if offset % SECTOR:
        raise esp_error("ESP_ERR_INVALID_ARG")
    flash.erase(partition.address + offset, size)


def write_blocks(flash: Flash, partition: Partition, offset: int, block: int, data: bytes) -> None:
    """``writeblocks(n, buf)``: erase, then write. Raises EspError, Abort, PowerLost.

    Blocks smaller than a sector keep what the sector holds around them.
    """
    if block >= SECTOR:
        erase(flash, partition, offset, len(data))
    else:
        end = offset + len(data)
        for sector in range(offset - offset % SECTOR, end, SECTOR):
            before = max(offset - sector, 0)
            after = max(sector + SECTOR - end, 0)
            # The chip reads the sector only if it has to, and a read can fail where an erase would not.
            kept = read(flash, partition, sector, SECTOR) if before or after else b""
            erase(flash, partition, sector, SECTOR)
            if before:
                write(flash, partition, sector, kept[:before])
            if after:
                write(flash, partition, end, kept[SECTOR - after :])
    write(flash, partition, offset, data)


def _check(partition: Partition, offset: int, size: int) -> None:
    if offset > partition.size:
        raise esp_error("ESP_ERR_INVALID_ARG")
    if offset + size > partition.size:
        raise esp_error("ESP_ERR_INVALID_SIZE")
