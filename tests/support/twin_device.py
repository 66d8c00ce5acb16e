"""A digital twin that runs beside a test, as `otafleet twin run` does it."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from broker_tools import broker_url, provision, twins
from firmware.twin.flash import SectorCount
from firmware.twin.twin import Twin
from tests.support.cli import Otafleet
from tests.support.program import Program
from tests.support.testdata import umqtt_dir

HEAP = "128k"


class TwinDevice:
    """A provisioned twin that can be switched on and off; use it as a context manager to have it on.

    It runs the genuine umqtt.simple unless `genuine_umqtt` is False: then the stand-in that the twin brings.
    `hosts` are the web servers that it may ask for images, `certificates` (PEM) whom it trusts there.
    """

    def __init__(
        self,
        folder: Path,
        otafleet: Otafleet,
        broker: str,
        *,
        device: str = "kitchen",
        app: bytes | None = None,
        genuine_umqtt: bool = True,
        heap: str = HEAP,
        flash_timing: bool = False,
        chip: str = "esp32",
        hosts: Sequence[str] = (),
        certificates: bytes = b"",
    ) -> None:
        """Make the twin in `folder`: it trusts every key in the home of `otafleet` and connects to `broker`."""
        self.folder = folder
        self.id = device
        self._otafleet = otafleet
        self._options = ["--broker", broker, "--heap", heap, *(["--flash-timing"] if flash_timing else [])]
        self._program: Program | None = None
        keys = [json.loads(path.read_text()) for path in sorted((otafleet.home / "keys").glob("*.pub.json"))]
        twins.provision(
            folder,
            provision.Settings(device, "demo", broker_url.parse(broker), "fleet", keys, hosts=hosts),
            app=app,
            chip=chip,
            libs={"umqtt": umqtt_dir()} if genuine_umqtt else {},
        )
        if certificates:
            (folder / "vfs" / "otafleet" / "ca.pem").write_bytes(certificates)

    @property
    def console(self) -> Program:
        """The running program; `expect` waits for lines of the device's console."""
        assert self._program is not None, "the twin is off"
        return self._program

    def topic(self, leaf: str) -> str:
        """One of its topics: `topic("state")`."""
        return f"fleet/devices/{self.id}/{leaf}"

    def on(self) -> None:
        """Switch it on."""
        self._program = self._otafleet.start(
            "twin", "run", "--device", self.id, "--dir", self.folder, *self._options
        ).__enter__()
        self._program.expect(r"^--- boot 1:")

    def off(self) -> None:
        """Pull its plug, whatever it is doing."""
        if self._program is not None:
            self._program.__exit__(None, None, None)
            self._program = None

    def counts(self, slot: str) -> list[SectorCount]:
        """What was done to each sector of a slot (or of another partition) since the twin was made."""
        twin = Twin(self.folder)
        try:
            place = twin.partition(slot)
            first = place.address // 4096
            return twin.sector_counts()[first : first + place.size // 4096]
        finally:
            twin.close()

    def __enter__(self) -> Self:
        self.on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.off()
