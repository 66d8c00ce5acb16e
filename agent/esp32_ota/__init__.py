"""The OTA functions of MicroPython's pull request #7048 on any ESP32 firmware: `Partition` and `install()`.

Each function is the firmware's own where it has #7048, else that of our C module _otafleet where the firmware was built
with it, else the one in Python of partition.py.

Where there is no chip (CPython, MicroPython on a computer) only `image` and `otadata` can be imported, which are
pure. A module `__getattr__` would be lazier, but on MicroPython it keeps `from . import image` from finding
submodules.
"""

try:
    from esp32 import Partition as _stock
except ImportError:
    pass
else:
    from .partition import Partition, install  # noqa: F401

    try:
        import _otafleet  # noqa: F401 (only asks: native.py is not even read where it would be of no use)
    except ImportError:
        pass
    else:
        if not hasattr(_stock, "ota_begin"):
            from .native import use

            use(Partition)
    if hasattr(_stock, "ota_begin") or hasattr(_stock, "app_description"):
        from .builtin import use

        use(Partition)
