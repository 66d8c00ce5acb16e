"""Digital twins of ESP32 boards, for tests and demonstrations. ``docs/twin.md`` tells what they model."""

from .bootloader import Bootloader
from .device import Boot
from .errors import NothingBoots, TwinError
from .flash import Flash, Operation, PowerCut, SectorCount
from .image import code_of, make_image
from .services import Cause
from .twin import Twin

__all__ = [
    "Boot",
    "Bootloader",
    "Cause",
    "Flash",
    "NothingBoots",
    "Operation",
    "PowerCut",
    "SectorCount",
    "Twin",
    "TwinError",
    "code_of",
    "make_image",
]
