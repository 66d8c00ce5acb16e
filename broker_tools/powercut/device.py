"""A twin whose power goes at chosen operations, with a record of everything that it does to its flash."""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from firmware.twin import partition_table
from firmware.twin.errors import EspError, TwinError
from firmware.twin.flash import SECTOR, Operation, PowerCut
from firmware.twin.nvs import BLOB, Nvs
from firmware.twin.twin import Twin

NVS = "nvs"
_JOURNAL = (b"otafleet", b"journal")
_PHASE = re.compile(rb'"phase":\s*"(\w+)"')


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of the device, the partition that it changes, and the phase in the journal when it began."""

    operation: Operation
    place: str
    offset: int
    phase: str

    @property
    def sector(self) -> int:
        """Which sector of its partition it changes."""
        return self.offset // SECTOR

    def __str__(self) -> str:
        verb = "erase" if self.operation.is_erase else "write"
        return f"{verb} of {self.place} + 0x{self.offset:x}"


class Watched:
    """A context manager: inside it the twin in `folder` runs, in a thread.

    `steps` are its operations so far; `torn` those in which the power went; `failure` says why it ended by itself.
    """

    def __init__(
        self, folder: Path, cuts: Sequence[PowerCut] = (), log: Callable[[str], None] | None = None
    ) -> None:
        """Prepare. The second of `cuts` counts from the first one on.

        :raises TwinError: when there is no twin
        """
        self.steps: list[Step] = []
        self.torn: list[Step] = []
        self.failure = ""
        self.twin = Twin(folder, log=log)
        self.twin.flash.on_operation = self._on_operation
        self._table = partition_table.parse(
            self.twin.flash.read(partition_table.OFFSET, partition_table.SIZE)
        )
        self._to_come = list(cuts)
        self._thread = threading.Thread()

    @property
    def ended(self) -> bool:
        """Whether the twin has ended by itself."""
        return not self._thread.is_alive()

    def phase(self) -> str:
        """The phase in the journal, as the device would find it if it booted now; "idle" without one."""
        nvs = self._table.first(partition_table.DATA, partition_table.DATA_NVS)
        assert nvs is not None  # noqa: S101 - every twin is made with one
        try:
            found = _PHASE.search(Nvs(self.twin.flash, nvs).get(_JOURNAL, BLOB))
        except EspError:
            found = None
        return found[1].decode() if found else "idle"

    def slot(self, label: str) -> bytes:
        """All that a slot holds."""
        place = self.twin.partition(label)
        return self.twin.flash.read(place.address, place.size)

    def _on_operation(self, operation: Operation) -> None:
        place = next(row for row in self._table if 0 <= operation.address - row.address < row.size)
        step = Step(operation, place.label, operation.address - place.address, self.phase())
        self.steps.append(step)
        flash = self.twin.flash
        if flash.power_cut is None and self._to_come:
            flash.power_cut = self._to_come.pop(0)
        if flash.power_cut is not None and flash.power_cut.at == 1:
            self.torn.append(step)

    def _run(self) -> None:
        try:
            self.twin.run()
        except TwinError as error:
            self.failure = str(error)

    def start(self) -> None:
        """Switch it on."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Switch it off, wait until it is, and forget the cuts that have not come."""
        self.twin.stop()
        self._thread.join()
        self._to_come = []
        self.twin.flash.power_cut = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.twin.close()
