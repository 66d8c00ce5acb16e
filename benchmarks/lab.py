"""What a device benchmark runs on: a broker and a home of its own, and twins whose flash takes its time."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from broker_tools import twins
from broker_tools.broker_url import parse
from broker_tools.keys import load_public
from broker_tools.provision import Settings
from tests.support.broker import Mosquitto
from tests.support.cli import Otafleet
from tests.support.program import Program
from tests.support.testdata import genuine_firmware, umqtt_dir

SECTOR = 4096
ERASE_MS = 45
"""Time to erase one sector of a twin's flash, in milliseconds (firmware/twin/flash.py)."""
PAGE_MS = 0.5
"""Time to program 256 bytes, in milliseconds."""
RTT_MS = 20
HEAP = "256k"
"""Plenty: what a small heap costs in collections is not measured here."""
START_S = 60
DEVICE = "kitchen"
_KEY = "release"
_ON_DEVICE = Path(__file__).parent / "on_device"
_MADE_BY_TWIN = 1024
"""More than the bytes of a twin's image that are not its program."""


def flash_ms(sectors: int) -> float:
    """Return what erasing and programming so many sectors takes, and nothing else."""
    return sectors * (ERASE_MS + SECTOR // 256 * PAGE_MS)


def firmware(sectors: int) -> bytes:
    """Return an app image of exactly so many sectors, filled with the genuine MicroPython: it deflates as that does."""
    size = sectors * SECTOR
    return twins.image(genuine_firmware().read_bytes()[: size - _MADE_BY_TWIN], "demo", "2.0", size=size)


class Running:
    """A twin that is on. Its programs print `mark WHAT MILLISECONDS MORE`."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def mark(self, what: str, timeout: float) -> tuple[int, str]:
        """Wait for a mark; return its time, in milliseconds of the device's clock, and what else it says."""
        line = self._program.expect(rf"^mark {what} ", timeout)
        _, _, ms, more = (line + " ").split(" ", 3)
        return int(ms), more.strip()

    def took(self, timeout: float) -> int:
        """Wait for set_boot; return the milliseconds since the offer came."""
        done = self.mark("rebooting", timeout)[0]
        return done - self.mark("offer", 1)[0]


class Lab:
    """A context manager that leaves nothing behind."""

    def __enter__(self) -> Self:
        self._scratch = tempfile.TemporaryDirectory(prefix="otafleet-benchmark-")
        self.folder = Path(self._scratch.name)
        self.broker = Mosquitto(self.folder / "mosquitto")
        self.broker.start()
        self.otafleet = Otafleet(self.folder / "home", self.broker.url)
        self.otafleet.ok("keys", "new", _KEY)
        self._twins = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.broker.stop()
        self._scratch.cleanup()

    @contextmanager
    def twin(
        self, script: str, names: Mapping[str, object] | None = None, hosts: Sequence[str] = ()
    ) -> Iterator[Running]:
        """Run a new twin whose app is a script of on_device/, with `names` defined before it."""
        self._twins += 1
        folder = self.folder / f"twin-{self._twins}"
        defined = "".join(f"{name} = {value!r}\n" for name, value in (names or {}).items())
        app = twins.image(defined.encode() + (_ON_DEVICE / script).read_bytes(), "demo", "1.0")
        url = parse(self.broker.url)
        keys = [load_public(self.otafleet.home, _KEY)]
        settings = Settings(DEVICE, "demo", url, "fleet", keys, hosts=hosts)
        twins.provision(folder, settings, app=app, libs={"umqtt": umqtt_dir()})
        command = ("twin", "run", "--device", DEVICE, "--dir", folder, "--heap", HEAP)
        with self.otafleet.start(*command, "--flash-timing", "--rtt", str(RTT_MS)) as program:
            program.expect(r"^--- boot 1:", START_S)
            yield Running(program)

    def publish(self, image: Path, *options: str) -> Program:
        """Start the publication of an image to the twin; use the result as a context manager."""
        return self.otafleet.start("publish", image, "--key", _KEY, "--device", DEVICE, *options)

    def forget(self) -> None:
        """Start the broker anew, empty: nothing of one run may reach the next."""
        self.broker.kill()
        for kept in self.broker.folder.glob("*.db"):
            kept.unlink()
        self.broker.start()
