"""The firmware's own functions of #7048 in place of ours, each that it has.

ota_resume, begin_steps and mark_app_valid_cancel_rollback stay ours. A handle says whose it is: ESP-IDF counts its own
from 1, ours are counted from OURS on here.
"""

from . import handles
from .slots import Stock, running

# Far above what ESP-IDF reaches, and small enough for an integer that takes no heap.
OURS = 1 << 29


def _either(ours, theirs):
    def call(self, handle, *rest):
        return ours(self, handle, *rest) if handle in handles.opened else theirs(handle, *rest)

    return call


def _end_steps(ours, end):
    def steps(self, handle, buf=None):
        if handle in handles.opened:
            yield from ours(self, handle, buf)
        else:
            yield
            end(handle)

    return steps


def use(cls):
    """Let the functions of the stock class show through the class of partition.py, which inherits from it."""
    for name in ("app_description", "check_rollback_is_possible", "mark_app_invalid_rollback_and_reboot"):
        if hasattr(Stock, name):
            # Not a copy of the stock function: bound to an object of ours, native code would not know it.
            delattr(cls, name)
    # The first versions of #7048 answered with text, and had no constants.
    if hasattr(Stock, "app_state") and hasattr(Stock, "APP_STATE_NEW"):
        delattr(cls, "app_state")
    if hasattr(Stock, "ota_begin"):
        handles.count_from(OURS)
        delattr(cls, "ota_begin")
        # What these are called on does not matter to #7048.
        stock = running()
        cls.end_steps = _end_steps(cls.end_steps, stock.ota_end)
        for name in ("ota_write", "ota_write_with_offset", "ota_end", "ota_abort"):
            setattr(cls, name, _either(getattr(cls, name), getattr(stock, name)))
