"""What is to run on the board: our build or a stock MicroPython download, as it comes from the web."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.esp32_ota import image as rules
from broker_tools import image as images
from broker_tools import merged
from broker_tools.errors import OtafleetError
from broker_tools.flash import bootloader
from broker_tools.image import AppImage

OLDEST: Final = (1, 22)
"""First release of MicroPython that the agent runs on; its bootloaders roll back (from v1.21)."""
_BANNER: Final = re.compile(rb"MicroPython v(\d+)\.(\d+)[-.\w]* on \d{4}-\d\d-\d\d")
_FROZEN_AGENT: Final = b"agent/agent.py\0"
"""How a build with the agent frozen names it (mp_frozen_names of MicroPython)."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """A firmware file, checked."""

    source: str
    app: AppImage
    bootloader: bytes | None
    """None for an app image, which has no bootloader."""
    micropython: str
    """Its release, such as "1.28"."""
    has_agent: bool
    """Whether the agent is frozen in it."""

    @property
    def chip(self) -> str:
        """Name of the chip that it is for."""
        return self.app.chip

    @property
    def revisions(self) -> tuple[int, int]:
        """The lowest and the highest revision of the chip (major * 100 + minor) that all of it runs on."""
        images = [self.app.data] if self.bootloader is None else [self.app.data, self.bootloader]
        lows, highs = zip(*map(bootloader.revisions, images), strict=True)
        return max(lows), min(highs)


def load(path: Path) -> Firmware:
    """Return the firmware in a file: a merged download (.bin) or an app image (.app-bin).

    Raises OtafleetError when it is neither, is damaged, or holds no MicroPython that the agent runs on.
    """
    data = images.read_file(path)
    try:
        return _firmware(data, str(path))
    except OtafleetError as error:
        name = str(path)
        message = error.message if error.message.startswith(name) else f"{name}: {error.message}"
        raise OtafleetError(message) from None


def _firmware(data: bytes, source: str) -> Firmware:
    loader = None
    if _is_app(data):
        app = images.parse(data, source)
    else:
        parts = merged.split(data)
        app = images.parse(parts.app, source)
        if app.chip not in bootloader.ADDRESSES:
            raise OtafleetError(f"it is for {app.chip}, whose flash is not known here")
        address = bootloader.ADDRESSES[app.chip] - parts.start
        if address < 0:
            raise OtafleetError(f"it begins after the place of the bootloader of {app.chip}")
        loader = bootloader.cut(data[address : merged.TABLE - parts.start], app.chip)
    return Firmware(source, app, loader, _release(app.data), _FROZEN_AGENT in app.data)


def _is_app(data: bytes) -> bool:
    try:
        rules.descriptor(images.reader(data))
    except rules.ImageError:
        return False
    return True


def _release(app: bytes) -> str:
    found = _BANNER.search(app)
    if found is None:
        raise OtafleetError("it is no MicroPython: the agent could not run on it")
    release = int(found[1]), int(found[2])
    text = ".".join(map(str, release))
    if release < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise OtafleetError(f"it is MicroPython {text}; the agent needs {oldest} or newer")
    return text
