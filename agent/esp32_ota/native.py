# ruff: noqa: ARG001, ARG005 (methods in the shape of those they replace)
"""The functions of our C module _otafleet in place of those in Python, on firmware that was built with it.

What ESP-IDF leaves out and partition.py does (a stale record of the slot is forgotten before it is written) stays. The
module names a partition by its address. Where ESP-IDF is too old for writes in any order (ON_DEMAND is 0: before
v5.4.2), handles stay in Python.
"""

import _otafleet

from .partition import SEQUENTIAL, prepare
from .slots import SECTOR


def _app_description(self):
    return _otafleet.app_description(self.info()[2])


def _app_state(self):
    return _otafleet.app_state(self.info()[2])


def _ota_begin(self, image_size=0):
    prepare(self, image_size)
    return _otafleet.begin(self.info()[2], image_size)


def _begin_steps(self, image_size=0):
    prepare(self, image_size)
    address, size = self.info()[2:4]
    handle = _otafleet.begin(address, SEQUENTIAL)
    if image_size != SEQUENTIAL:
        for offset in range(0, image_size if image_size > 0 else size, SECTOR):
            _otafleet.erase(handle, offset, 1)
            yield
    return handle


def _ota_resume(self, image_size=0):
    prepare(self, image_size)
    return _otafleet.resume(self.info()[2])


def _end_steps(self, handle, buf=None):
    # ESP-IDF verifies in one go, as set_boot() does, but lets other threads run.
    yield
    _otafleet.end(handle)


def use(cls):
    """Give the class of partition.py the functions of the C module."""
    cls.app_description = _app_description
    cls.app_state = _app_state
    cls.check_rollback_is_possible = staticmethod(_otafleet.check_rollback_is_possible)
    cls.mark_app_invalid_rollback_and_reboot = staticmethod(_otafleet.mark_app_invalid_rollback_and_reboot)
    if _otafleet.ON_DEMAND:
        cls.ota_begin = _ota_begin
        cls.begin_steps = _begin_steps
        cls.ota_resume = _ota_resume
        cls.ota_write = lambda self, handle, buf: _otafleet.write(handle, buf)
        cls.ota_write_with_offset = lambda self, handle, buf, offset: _otafleet.write_with_offset(
            handle, buf, offset
        )
        cls.ota_end = lambda self, handle: _otafleet.end(handle)
        cls.end_steps = _end_steps
        cls.ota_abort = lambda self, handle: _otafleet.abort(handle)
