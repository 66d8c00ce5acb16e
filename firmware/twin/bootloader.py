"""The second-stage bootloader: which slot runs after a reset (ESP-IDF 5.5, bootloader_utility.c).

States of a record, when the chip resets, with rollback:

    NEW             boots, and becomes PENDING_VERIFY
    PENDING_VERIFY  becomes ABORTED, the other record's slot boots
    VALID           boots
    UNDEFINED       boots
    INVALID         passed over
    ABORTED         passed over

Without rollback NEW and PENDING_VERIFY boot as they are. Falling back to another slot because an image is
broken changes no record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import otadata, partition_table
from .chips import Chip
from .errors import NothingBoots
from .flash import SECTOR, Flash
from .otadata import OtaData, Record
from .partition_table import APP, DATA, DATA_OTA, FACTORY, TEST, Partition, Table
from .verify import ImageInvalid, verify

_FACTORY = -1


@dataclass(frozen=True)
class Booted:
    """What the bootloader has started."""

    table: Table
    slot: Partition
    state: str
    """State of the record that chose the slot, as the app will see it; "" when none did."""


class Bootloader:
    """A bootloader in the flash of one twin."""

    def __init__(self, flash: Flash, chip: Chip, *, rollback: bool, log: Callable[[str], None]) -> None:
        """``rollback`` is CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE; ``log`` takes lines for the console."""
        self._flash = flash
        self._chip = chip
        self._rollback = rollback
        self._log = log

    def run(self, retained: int | None = None) -> Booted:
        """Choose and check a slot. Raises NothingBoots, PowerLost.

        ``retained`` is the address of the slot that went into deep sleep, which RTC memory keeps: it is
        started without looking at otadata or at the image (CONFIG_BOOTLOADER_SKIP_VALIDATE_IN_DEEP_SLEEP,
        on in MicroPython's builds).
        """
        try:
            table = partition_table.parse(self._flash.read(partition_table.OFFSET, partition_table.SIZE))
        except ValueError as error:
            raise NothingBoots(f"nothing boots: {error}") from error
        slept = table.at(retained) if retained is not None else None
        info = table.first(DATA, DATA_OTA)
        data = OtaData(self._flash, info) if info and info.size >= 2 * SECTOR else None
        if slept is not None:
            return Booted(table, slept, _state(data, table, slept))
        start, initial = self._select(table, data)
        for index in [*range(start, _FACTORY - 1, -1), *range(start + 1, len(table.slots))]:
            slot = _slot(table, index)
            if slot is not None and self._loads(slot):
                if initial and data is not None and index != _FACTORY:
                    blank = Record.parse(b"\xff" * 32)
                    data.write(0, blank.sealed(index + 1, otadata.VALID))
                return Booted(table, slot, _state(data, table, slot))
        test = table.first(APP, TEST)
        if test is not None and self._loads(test):
            return Booted(table, test, "")
        raise NothingBoots("nothing boots: no slot holds an image that this chip starts")

    def _select(self, table: Table, data: OtaData | None) -> tuple[int, bool]:
        """The slot to begin with, and whether otadata is to be filled in for the one that loads."""
        if data is None:
            return _FACTORY, False
        if self._rollback:
            for index, record in enumerate(data.records):
                if record.state == otadata.PENDING_VERIFY:
                    data.write(index, record.with_state(otadata.ABORTED))
        if all(record.is_dismissed for record in data.records) or not table.slots:
            if table.first(APP, FACTORY):
                return _FACTORY, False
            return 0, all(record.seq == otadata.ERASED or not record.is_sealed for record in data.records)
        active = data.active()
        if active is None:
            return _FACTORY, False
        record = data.records[active]
        if self._rollback and record.state == otadata.NEW:
            data.write(active, record.with_state(otadata.PENDING_VERIFY))
        return (record.seq - 1) % len(table.slots), False

    def _loads(self, slot: Partition) -> bool:
        try:
            verify(self._flash, slot, self._chip)
        except ImageInvalid as error:
            self._log(f"bootloader: {slot.label} is not bootable: {error}")
            return False
        return True


def _slot(table: Table, index: int) -> Partition | None:
    if index == _FACTORY:
        return table.first(APP, FACTORY)
    return table.slots[index] if index < len(table.slots) else None


def _state(data: OtaData | None, table: Table, slot: Partition) -> str:
    if data is None:
        return ""
    for record in data.records:
        if record.is_sealed and table.slots[(record.seq - 1) % len(table.slots)] == slot:
            return otadata.STATES.get(record.state, "")
    return ""
