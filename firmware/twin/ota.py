"""ESP-IDF's OTA functions under MicroPython's ``esp32.Partition`` (esp_ota_ops.c 5.5.1, rollback enabled)."""

from __future__ import annotations

from . import otadata
from .chips import Chip
from .errors import EspError, esp_error
from .flash import Flash
from .otadata import OtaData
from .partition_table import APP, DATA, DATA_OTA, FACTORY, TEST, Partition, Table
from .verify import ImageInvalid, verify

_ENOENT = 2


class Ota:
    """The OTA functions as the app in ``running`` sees them."""

    def __init__(self, flash: Flash, chip: Chip, table: Table, running: Partition) -> None:
        self._flash = flash
        self._chip = chip
        self._table = table
        self.running = running

    def partition(self, address: int) -> Partition:
        """The partition that a ``Partition`` object stands for. Raises EspError."""
        found = self._table.at(address)
        if found is None:
            raise esp_error("ESP_ERR_NOT_FOUND")
        return found

    def find(self, type: int, subtype: int, label: str | None) -> list[Partition]:
        """``Partition.find``."""
        return self._table.find(type, subtype, label)

    def labelled(self, label: str) -> Partition:
        """``Partition(label)``: apps before data. Raises EspError."""
        found = self._table.first(APP, label=label) or self._table.first(DATA, label=label)
        if found is None:
            raise EspError(_ENOENT)
        return found

    def boot(self) -> Partition:
        """``Partition(BOOT)``: what otadata says now, which is not always what runs. Raises EspError."""
        data = self._otadata()
        if data is None:
            raise EspError(_ENOENT)
        slots = self._table.slots
        active = None if all(record.is_dismissed for record in data.records) else data.active()
        if active is not None and slots:
            return slots[(data.records[active].seq - 1) % len(slots)]
        default = self._table.first(APP, FACTORY) or next(iter(slots), None) or self._table.first(APP, TEST)
        if default is None:
            raise EspError(_ENOENT)
        return default

    def next_update(self, start: Partition) -> Partition:
        """``get_next_update``: the OTA slot after ``start``, in a ring. Raises EspError."""
        slots = sorted((row for row in self._table if row.is_ota), key=lambda row: row.subtype)
        if not slots:
            raise EspError(_ENOENT)
        following = slots.index(start) + 1 if start in slots else 0
        return slots[following % len(slots)]

    def set_boot(self, target: Partition) -> None:
        """``set_boot``. Raises EspError; PowerLost leaves the old choice in force."""
        try:
            verify(self._flash, target, self._chip)
        except ImageInvalid:
            raise esp_error("ESP_ERR_OTA_VALIDATE_FAILED") from None
        if target.type != APP:
            raise esp_error("ESP_ERR_INVALID_ARG")
        data = self._otadata()
        if data is None:
            raise esp_error("ESP_ERR_NOT_FOUND")
        if target.subtype == FACTORY:
            info = self._table.find(DATA, DATA_OTA)[0]
            self._flash.erase(info.address, info.size)
            return
        count = len(self._table.slots)
        wanted = (target.subtype & 0x0F) + 1
        if wanted > count:
            raise esp_error("ESP_ERR_INVALID_ARG")
        active = data.active()
        if active is None:
            index, seq = 0, wanted
        else:
            # The smallest number from the present one up that stands for this slot. It goes into the other
            # record even if the slot is the active one already: IDF 5.5 loses that record (IDF issue 14688).
            now = data.records[active].seq
            index, seq = 1 - active, now + (wanted - now) % count
        data.write(index, data.records[index].sealed(seq, otadata.NEW))

    def mark_valid(self) -> None:
        """``mark_app_valid_cancel_rollback``: it marks the active record, whatever runs. Raises EspError."""
        data = self._otadata()
        if data is None:
            raise esp_error("ESP_ERR_NOT_FOUND")
        active = data.active()
        if active is None or not self._table.slots:
            raise esp_error("ESP_FAIL")
        record = data.records[active]
        if record.state != otadata.VALID:
            data.write(active, record.sealed(record.seq, otadata.VALID))

    def _otadata(self) -> OtaData | None:
        info = self._table.first(DATA, DATA_OTA)
        return OtaData(self._flash, info) if info else None
