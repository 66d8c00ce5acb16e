"""What is written where. Pure: from the firmware, the board and the wishes to bytes and addresses."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from broker_tools import exits
from broker_tools.errors import OtafleetError
from broker_tools.flash import bootloader, table, vfs
from broker_tools.flash.esptool import Part
from broker_tools.flash.files import AGENT, Files, Wishes, choose
from broker_tools.flash.firmware import Firmware
from broker_tools.flash.survey import Survey
from broker_tools.text import size_text
from firmware.twin.partition_table import Partition, Table

BLANK: Final = b"\xff"


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of flash as it will be; `parts` is what has to be written for it."""

    name: str
    whole: Part
    parts: tuple[Part, ...]
    erase: bool = False
    """Whether all of it is erased first."""
    note: str = ""

    @property
    def sha256(self) -> str:
        """Digest of the region as it will be."""
        return hashlib.sha256(self.whole.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is done to a board. `last` is the partition table: it says that all before it was done."""

    regions: tuple[Region, ...]
    last: Region | None
    files: Files
    changed: tuple[str, ...]
    """Files that are new or differ from what the board has."""

    @property
    def config(self) -> dict[str, Any]:
        """The board's device.json."""
        return self.files.config


def layout(firmware: Firmware, survey: Survey, *, erase_files: bool) -> Table:
    """Return the partition table that the board is to have.

    :raises OtafleetError: when the firmware is not for this board, or its files would be lost unasked
    """
    identity = survey.identity
    if identity.chip != firmware.chip:
        raise OtafleetError(f"the board is an {identity.chip}, {firmware.source} is for {firmware.chip}")
    least, most = firmware.revisions
    if not least <= identity.revision <= most:
        wanted = (
            f"needs {_revision(least)} or newer: take a build for older chips"
            if identity.revision < least
            else f"knows chips up to {_revision(most)}: take a newer release"
        )
        raise OtafleetError(
            f"the board's chip is of revision {_revision(identity.revision)}, {firmware.source} {wanted}"
        )
    rows = table.for_flash(identity.flash_size)
    slot = table.row(rows, "ota_0")
    if len(firmware.app.data) > slot.size:
        raise OtafleetError(
            f"{firmware.source}: its app has {size_text(len(firmware.app.data))}, "
            f"a slot on this board holds {size_text(slot.size)}: take a smaller build"
        )
    if firmware.bootloader is None and survey.table != rows:
        raise OtafleetError(
            f"{firmware.source} is an app alone, and this board has not been set up yet: "
            "take the complete download (.bin), which has a bootloader"
        )
    if survey.kind and not erase_files and not keeps(survey, rows, erase_files=False):
        raise OtafleetError(
            "the board has files that cannot stay where they are: copy them (mpremote cp -r : DIR), "
            "then give --erase-files",
            exits.USAGE,
        )
    return rows


def keeps(survey: Survey, rows: Table, *, erase_files: bool) -> bool:
    """Whether the board's file system stays and is only added to."""
    new, old = table.row(rows, "vfs"), survey.place
    same = old is not None and (old.address, old.size) == (new.address, new.size)
    return same and survey.kind == "littlefs" and not erase_files


def make(firmware: Firmware, survey: Survey, rows: Table, wishes: Wishes, kept: bytes | None) -> Plan:
    """Return what to do.

    :param kept: the file system that the board has and keeps; None makes a new one
    :raises OtafleetError: when its files do not fit, or it would not know who it is
    """
    place = table.row(rows, "vfs")
    volume = vfs.Volume(place.size, kept)
    files = choose(wishes, volume.read, has_agent=firmware.has_agent)
    changed = volume.update(files.contents, whole=AGENT)
    first = survey.table != rows
    regions = []
    if firmware.bootloader is not None:
        data = bootloader.for_flash(firmware.bootloader, survey.identity.flash_size)
        regions.append(_region("bootloader", bootloader.ADDRESSES[firmware.chip], data))
    if first:
        regions.append(_blank(table.row(rows, "nvs")))
    regions += [
        _blank(table.row(rows, "otadata")),
        _region("ota_0", table.row(rows, "ota_0").address, firmware.app.data),
        _files(place, kept, volume.data),
    ]
    last = _region("partition table", table.ADDRESS, table.pack(rows)) if first else None
    return Plan(tuple(regions), last, files, tuple(changed))


def _region(name: str, address: int, data: bytes, note: str = "") -> Region:
    part = Part(name, address, data)
    return Region(name, part, (part,), note=note)


def _blank(row: Partition) -> Region:
    return _region(row.label, row.address, BLANK * row.size, "erased")


def _files(place: Partition, kept: bytes | None, after: bytes) -> Region:
    before = BLANK * place.size if kept is None else kept
    parts = tuple(Part(place.label, place.address + offset, data) for offset, data in vfs.runs(before, after))
    note = "new" if kept is None else "kept, and added to"
    return Region(place.label, Part(place.label, place.address, after), parts, erase=kept is None, note=note)


def _revision(number: int) -> str:
    return f"{number // 100}.{number % 100}"
