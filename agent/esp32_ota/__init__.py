"""The OTA functions of MicroPython's pull request #7048 on any ESP32 firmware: `Partition` and `install()`.

Where there is no chip (CPython, a MicroPython on a computer) only `image` and `otadata` can be imported, which are pure.
A module `__getattr__` would be lazier, but on MicroPython it stops `from . import image` from finding submodules.
"""

try:
    from esp32 import Partition as _
except ImportError:
    pass
else:
    from .partition import Partition, install
