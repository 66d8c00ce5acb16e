"""`Partition` with the functions of #7048, in Python over the stock esp32.Partition. native.py and builtin.py put
other functions in the place of some, where the firmware has them.

What each function answers, raises and does to flash, and in which order it checks, is that of ESP-IDF v5.5
(esp_ota_ops.c) as #7048 would show it. It differs on purpose in these points:

- ota_resume(image_size) is new: a handle whose writes erase each sector once, when it is first written to.
  Nothing is erased that is not written, so an update goes on after a reset without losing what is already right.
- A handle begun with -2 (sequential writes) erases in the same way: ota_write_with_offset is safe on it too.
- ota_begin and ota_resume first erase every record that otadata has of the slot. ESP-IDF does that after erasing
  the slot, and not where the record is the active one: the next set_boot would then overwrite the record of the
  running slot, and a bad image could not be rolled back.
- mark_app_valid_cancel_rollback raises ESP_ERR_INVALID_STATE where the active record does not name the running
  slot (the bootloader fell back, or set_boot has named another): it would confirm an app that does not run.
- ota_begin takes OTA slots only. The chip's revision, signatures and efuses can't be seen from Python: ota_end
  leaves them to set_boot.
"""

import sys

import esp32
import machine

from . import handles, otadata, slots
from .errors import esp_error
from .slots import Stock

SEQUENTIAL = -2
_FACTORY = 0x00


def _finish(steps):
    from .image import finish

    return finish(steps)


def prepare(part, image_size):
    """What every new handle starts with, in ESP-IDF's order of checks."""
    number = slots.number_of(part)
    if number is None:
        raise esp_error("ESP_ERR_INVALID_ARG")
    running = slots.running()
    if running.info()[2] == part.info()[2]:
        raise esp_error("ESP_ERR_OTA_PARTITION_CONFLICT")
    if slots.state_of(running) == otadata.PENDING_VERIFY:
        raise esp_error("ESP_ERR_OTA_ROLLBACK_INVALID_STATE")
    if not SEQUENTIAL <= image_size <= part.info()[3]:
        raise esp_error("ESP_ERR_INVALID_SIZE")
    slots.forget(number)


def _ours(part, block_size):
    # A stock partition as one of ours. Only its label leads there; where that leads elsewhere, it stays stock.
    try:
        wrapped = Partition(part.info()[4], block_size)
    except OSError:
        return part
    return wrapped if wrapped.info() == part.info() else part


class Partition(Stock):
    """esp32.Partition with the functions of #7048. Errors are OSError(code, "ESP_ERR_...") with MicroPython's codes."""

    APP_STATE_NEW = 0
    APP_STATE_PENDING_VERIFY = 1
    APP_STATE_VALID = 2
    APP_STATE_INVALID = 3
    APP_STATE_ABORTED = 4
    APP_STATE_UNDEFINED = -1

    @staticmethod
    def find(type=0, subtype=0xFF, label=None, block_size=slots.SECTOR):
        """The partitions that match, as esp32.Partition.find() gives them, but of this class."""
        return [_ours(part, block_size) for part in Stock.find(type, subtype, label, block_size)]

    def get_next_update(self):
        """The OTA slot that follows this one, wrapping round. OSError(2) where the table has none."""
        return _ours(super().get_next_update(), slots.SECTOR)

    def app_description(self):
        """(secure_version, version, project_name, time, date, idf_ver, app_elf_sha256) of the app in here.

        ESP_ERR_NOT_SUPPORTED: not an app partition. ESP_ERR_NOT_FOUND: it holds no app descriptor.
        """
        if self.info()[0] != Stock.TYPE_APP:
            raise esp_error("ESP_ERR_NOT_SUPPORTED")
        from . import image

        raw = bytearray(image.DESCRIPTOR_SIZE)
        self.readblocks(0, raw, image.DESCRIPTOR_OFFSET)
        found = image.parse_descriptor(raw)
        if not found:
            raise esp_error("ESP_ERR_NOT_FOUND")
        return found

    def app_state(self):
        """One of APP_STATE_*. ESP_ERR_NOT_SUPPORTED: not an OTA slot. ESP_ERR_NOT_FOUND: no record names it."""
        if slots.number_of(self) is None:
            raise esp_error("ESP_ERR_NOT_SUPPORTED")
        state = slots.state_of(self)
        if state is None:
            raise esp_error("ESP_ERR_NOT_FOUND")
        return state

    def begin_steps(self, image_size=0):
        """ota_begin() as a generator that erases one sector per step; its return value is the handle."""
        prepare(self, image_size)
        handle = handles.Handle(self, image_size == SEQUENTIAL)
        if image_size != SEQUENTIAL:
            size = image_size if image_size > 0 else handle.size
            for sector in range((size + slots.SECTOR - 1) // slots.SECTOR):
                handle.part.ioctl(6, sector)
                yield
        return handles.keep(handle)

    def ota_begin(self, image_size=0):
        """Erase the first `image_size` bytes of this slot (0 or -1: all of it; -2: nothing yet, each sector when it
        is first written to) and return a handle to write with.

        ESP_ERR_INVALID_ARG: not an OTA slot. ESP_ERR_OTA_PARTITION_CONFLICT: the app runs from it.
        ESP_ERR_OTA_ROLLBACK_INVALID_STATE: the running app is not confirmed yet. ESP_ERR_INVALID_SIZE: too large.
        """
        return _finish(self.begin_steps(image_size))

    def ota_resume(self, image_size=0):
        """A handle that erases nothing now, and each sector of 4096 bytes once, when it is first written to.

        To go on after a reset, write the sectors that are not right yet, each from its start. Errors as ota_begin.
        """
        prepare(self, image_size)
        handle = handles.Handle(self, True)
        handle.begun = True
        return handles.keep(handle)

    def ota_write(self, handle, buf):
        """Append an object of bytes. As in #7048, the handle says where; what it is called on does not matter.

        ESP_ERR_INVALID_ARG: no such handle. ESP_ERR_INVALID_SIZE: beyond the slot.
        ESP_ERR_OTA_VALIDATE_FAILED: the very first byte is not 0xE9; the handle can still be used.
        """
        found = handles.get(handle, "ESP_ERR_INVALID_ARG")
        found.write(buf, found.wrote, found.wrote == 0)

    def ota_write_with_offset(self, handle, buf, offset):
        """Write an object of bytes at an offset, in any order. Not to be mixed with ota_write.

        ESP_ERR_INVALID_ARG: no such handle, or an offset beyond the slot. ESP_ERR_INVALID_SIZE: an end beyond it.
        """
        handles.get(handle, "ESP_ERR_INVALID_ARG").write(buf, offset, False)

    def end_steps(self, handle, buf=None):
        """ota_end() as a generator of short steps, through the caller's buffer of 256 to 4096 bytes, if lent."""
        found = handles.free(handle)
        if not found.begun:
            raise esp_error("ESP_ERR_INVALID_ARG")
        yield from slots.verify_steps(found.part, buf)

    def ota_end(self, handle):
        """Free the handle and verify what the slot holds. What boots is not changed: that is set_boot().

        ESP_ERR_NOT_FOUND: no such handle. ESP_ERR_INVALID_ARG: nothing was written.
        ESP_ERR_OTA_VALIDATE_FAILED: not a sound app image for this chip.
        """
        _finish(self.end_steps(handle))

    def ota_abort(self, handle):
        """Free the handle and leave the slot as it is. ESP_ERR_NOT_FOUND: no such handle."""
        handles.free(handle)

    @classmethod
    def check_rollback_is_possible(cls):
        """Whether another app could boot if this one were marked invalid. Reads and hashes all of that app."""
        table, records = slots.records()
        active = otadata.active(records) if table else -1
        count = slots.count()
        if active < 0 or not count:
            return False
        other = records[1 - active]
        subtype = slots.OTA_0 + otadata.slot_of(other, count) if otadata.is_valid(other) else _FACTORY
        for part in Stock.find(Stock.TYPE_APP, subtype):
            try:
                _finish(slots.verify_steps(part))
                return True
            except OSError:
                pass
        return False

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        """Confirm the running app. ESP_ERR_NOT_FOUND: no otadata. OSError(1): no record is active.

        ESP_ERR_INVALID_STATE: the active record names another slot than the running one.
        """
        table, records = slots.records()
        active = otadata.active(records) if table else -1
        if active >= 0 and otadata.slot_of(records[active], slots.count()) != slots.number_of(
            slots.running()
        ):
            raise esp_error("ESP_ERR_INVALID_STATE")
        Stock.mark_app_valid_cancel_rollback()

    @classmethod
    def mark_app_invalid_rollback_and_reboot(cls):
        """Mark the app that the active record names INVALID and reset the chip into the other one.

        ESP_ERR_NOT_FOUND: no otadata. OSError(1): no record is active. ESP_ERR_OTA_ROLLBACK_FAILED: no other app.
        """
        table, records = slots.records()
        if not table:
            raise esp_error("ESP_ERR_NOT_FOUND")
        active = otadata.active(records)
        if active < 0 or not slots.count():
            raise esp_error("ESP_FAIL")
        if not cls.check_rollback_is_possible():
            raise esp_error("ESP_ERR_OTA_ROLLBACK_FAILED")
        seq, label = records[active][:2]
        table.ioctl(6, active)
        table.writeblocks(active, otadata.pack(seq, otadata.INVALID, label), 0)
        machine.reset()


class _Esp32:
    # Stands in for the built-in module, which can't be changed.
    Partition = Partition

    def __getattr__(self, name):
        return getattr(esp32, name)


def install():
    """Make `from esp32 import Partition` return this class from now on, and return it."""
    sys.modules["esp32"] = _Esp32()
    return Partition
