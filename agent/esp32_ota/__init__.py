"""The OTA functions of MicroPython's pull request #7048 on any ESP32 firmware: `Partition` and `install()`.

Where there is no chip (CPython, MicroPython on a computer) only `image` and `otadata` can be imported, which are
pure. A module `__getattr__` would be lazier, but on MicroPython it keeps `from . import image` from finding
submodules.
"""

try:
    from esp32 import Partition as _stock  # noqa: F401 (only asks whether there is a chip)
except ImportError:
    pass
else:
    from .partition import Partition, install  # noqa: F401
