"""`Partition` with the functions of #7048, in Python over the stock esp32.Partition.

What each function answers, raises and does to flash, and in which order it checks, is that of ESP-IDF v5.5
(esp_ota_ops.c) as #7048 would show it. It differs on purpose in these points:

- ota_resume(image_size) is new: a handle whose writes erase each sector once, when it is first written to. Nothing
  is erased that is not written, so an update goes on after a reset without losing what is already right.
- A handle begun with -2 (sequential writes) erases in the same way, so ota_write_with_offset is safe on it too.
- ota_begin and ota_resume erase, before anything else, every record of otadata that could make the bootloader
  choose the slot. ESP-IDF does so after erasing the slot, and leaves the record where it is the active one: the next
  set_boot would then overwrite the record of the running slot, and a bad image could not be rolled back.
- mark_app_valid_cancel_rollback raises ESP_ERR_INVALID_STATE where the active record does not name the running
  slot (the bootloader fell back, or set_boot has named another): it would confirm an app that does not run.
- ota_begin takes OTA slots only. The chip's revision, signatures and efuses can't be seen from Python: ota_end
  leaves them to set_boot.

Handles are numbers from 1, never given out twice before the next reset, soft or hard.
"""

import sys

import esp32
import machine

from . import image, otadata
from .errors import esp_error

_Stock = esp32.Partition
_SECTOR = 4096
_OTA_0 = 0x10
_OTA_15 = 0x1F
_FACTORY = 0x00
_SEQUENTIAL = -2
# Bytes of the buffer that a verification makes for itself where the caller lends none.
_READ = 1024

_handles = {}
_last_handle = 0


class _Handle:
    # part: the slot, with blocks of 4096 bytes; wrote: where the next ota_write goes; begun: whether there is something
    # for ota_end to look at; erased: one bit per sector where writes erase on demand, else None.
    def __init__(self, part):
        self.part = part
        self.size = part.info()[3]
        self.wrote = 0
        self.begun = False
        self.erased = None

    def erase_on_demand(self):
        self.erased = bytearray((self.size // _SECTOR + 7) // 8)

    def prepare(self, offset, size):
        # The whole range is checked before its first sector is erased.
        if not 0 <= offset <= self.size:
            raise esp_error("ESP_ERR_INVALID_ARG")
        if offset + size > self.size:
            raise esp_error("ESP_ERR_INVALID_SIZE")
        for sector in range(offset // _SECTOR, (offset + size - 1) // _SECTOR + 1):
            bit = 1 << (sector & 7)
            if not self.erased[sector >> 3] & bit:
                self.part.ioctl(6, sector)
                self.erased[sector >> 3] |= bit

    def write(self, buf, offset, first):
        size = len(buf)
        if size:
            if self.erased is not None:
                self.prepare(offset, size)
            if first and buf[0] != image.MAGIC:
                raise esp_error("ESP_ERR_OTA_VALIDATE_FAILED")
            self.part.writeblocks(0, buf, offset)
            self.wrote += size
            self.begun = True


def _keep(handle):
    global _last_handle
    _last_handle += 1
    _handles[_last_handle] = handle
    return _last_handle


def _handle(number, error):
    if number not in _handles:
        raise esp_error(error)
    return _handles[number]


def _slots():
    # ESP-IDF counts ota_0, ota_1, ... up to the first that is missing.
    count = 0
    while _Stock.find(_Stock.TYPE_APP, _OTA_0 + count):
        count += 1
    return count


def _slot_of(part):
    # n of ota_n, or None for a partition that is no OTA slot.
    kind, subtype = part.info()[:2]
    return subtype - _OTA_0 if kind == _Stock.TYPE_APP and _OTA_0 <= subtype <= _OTA_15 else None


def _otadata():
    # The otadata partition and its two records, or (None, None) where the table has none.
    found = _Stock.find(_Stock.TYPE_DATA, 0)
    if not found:
        return None, None
    records = []
    for sector in (0, 1):
        raw = bytearray(otadata.RECORD_SIZE)
        found[0].readblocks(sector, raw, 0)
        records.append(otadata.parse(raw))
    return found[0], records


def _state_of(part):
    # The recorded state of an OTA slot, or None.
    table, records = _otadata()
    return otadata.state_of(records, _slot_of(part), _slots()) if table else None


def _reader(part, buf):
    # image's read(offset, length) over a partition, through one buffer.
    view = memoryview(buf)

    def read(offset, length):
        part.readblocks(0, view[:length], offset)
        return view[:length]

    return read


def _verify_steps(part, buf=None):
    buf = buf or bytearray(_READ)
    chip = image.header(_reader(_Stock(_Stock.RUNNING), buf))["chip_id"]
    try:
        yield from image.verify_steps(_reader(part, buf), part.info()[3], chip, False, min(len(buf), image.PIECE))
    except image.ImageError:
        raise esp_error("ESP_ERR_OTA_VALIDATE_FAILED")


def _forget(slot):
    table, records = _otadata()
    if table:
        slots = _slots()
        for sector in (0, 1):
            if otadata.is_valid(records[sector]) and otadata.slot_of(records[sector], slots) == slot:
                table.ioctl(6, sector)


def _begin(part, image_size):
    # The checks that every handle starts with, in ESP-IDF's order.
    slot = _slot_of(part)
    if slot is None:
        raise esp_error("ESP_ERR_INVALID_ARG")
    running = _Stock(_Stock.RUNNING)
    if running.info()[2] == part.info()[2]:
        raise esp_error("ESP_ERR_OTA_PARTITION_CONFLICT")
    if _slot_of(running) is not None and _state_of(running) == otadata.PENDING_VERIFY:
        raise esp_error("ESP_ERR_OTA_ROLLBACK_INVALID_STATE")
    if not _SEQUENTIAL <= image_size <= part.info()[3]:
        raise esp_error("ESP_ERR_INVALID_SIZE")
    _forget(slot)
    # Found again, because the caller's may have blocks of another size.
    return _Handle(_Stock.find(_Stock.TYPE_APP, slot + _OTA_0)[0])


def _ours(part, block_size):
    # A stock partition as one of ours. Only its label leads there; where that leads elsewhere, the stock one must do.
    try:
        wrapped = Partition(part.info()[4], block_size)
    except OSError:
        return part
    return wrapped if wrapped.info() == part.info() else part


class Partition(_Stock):
    """esp32.Partition with the functions of #7048. Errors are OSError(code, "ESP_ERR_..."), with MicroPython's codes."""

    APP_STATE_NEW = 0
    APP_STATE_PENDING_VERIFY = 1
    APP_STATE_VALID = 2
    APP_STATE_INVALID = 3
    APP_STATE_ABORTED = 4
    APP_STATE_UNDEFINED = -1

    @staticmethod
    def find(type=0, subtype=0xFF, label=None, block_size=_SECTOR):
        """The partitions that match, as esp32.Partition.find() gives them, but of this class."""
        return [_ours(part, block_size) for part in _Stock.find(type, subtype, label, block_size)]

    def get_next_update(self):
        """The OTA slot that follows this one, wrapping round. OSError(2) where the table has none."""
        return _ours(super().get_next_update(), _SECTOR)

    def app_description(self):
        """(secure_version, version, project_name, time, date, idf_ver, app_elf_sha256) of the app in this partition.

        ESP_ERR_NOT_SUPPORTED: not an app partition. ESP_ERR_NOT_FOUND: it holds no app descriptor.
        """
        if self.info()[0] != _Stock.TYPE_APP:
            raise esp_error("ESP_ERR_NOT_SUPPORTED")
        raw = bytearray(image.DESCRIPTOR_SIZE)
        self.readblocks(0, raw, image.DESCRIPTOR_OFFSET)
        found = image.parse_descriptor(raw)
        if not found:
            raise esp_error("ESP_ERR_NOT_FOUND")
        return found

    def app_state(self):
        """One of APP_STATE_*. ESP_ERR_NOT_SUPPORTED: not an OTA slot. ESP_ERR_NOT_FOUND: otadata does not name it."""
        if _slot_of(self) is None:
            raise esp_error("ESP_ERR_NOT_SUPPORTED")
        state = _state_of(self)
        if state is None:
            raise esp_error("ESP_ERR_NOT_FOUND")
        return state

    def begin_steps(self, image_size=0):
        """ota_begin() as a generator that erases one sector per step; its return value is the handle."""
        handle = _begin(self, image_size)
        if image_size == _SEQUENTIAL:
            handle.erase_on_demand()
        else:
            for sector in range(((image_size if image_size > 0 else handle.size) + _SECTOR - 1) // _SECTOR):
                handle.part.ioctl(6, sector)
                yield
        return _keep(handle)

    def ota_begin(self, image_size=0):
        """Erase the first `image_size` bytes of this slot (0 or -1: all of it; -2: each sector when it is written to)
        and return a handle to write with.

        ESP_ERR_INVALID_ARG: not an OTA slot. ESP_ERR_OTA_PARTITION_CONFLICT: it is the running one.
        ESP_ERR_OTA_ROLLBACK_INVALID_STATE: the running app is not confirmed yet. ESP_ERR_INVALID_SIZE: too large.
        """
        return image.finish(self.begin_steps(image_size))

    def ota_resume(self, image_size=0):
        """A handle that erases nothing now, and each sector of 4096 bytes once, when it is first written to.

        To go on after a reset, write again the sectors that are not right, each from its start. Errors as ota_begin.
        """
        handle = _begin(self, image_size)
        handle.erase_on_demand()
        handle.begun = True
        return _keep(handle)

    def ota_write(self, handle, buf):
        """Append an object of bytes. The partition it is called on does not matter, the handle does.

        ESP_ERR_INVALID_ARG: no such handle. ESP_ERR_OTA_VALIDATE_FAILED: the first byte is not 0xE9 (the handle stays).
        ESP_ERR_INVALID_SIZE: beyond the slot.
        """
        found = _handle(handle, "ESP_ERR_INVALID_ARG")
        found.write(buf, found.wrote, found.wrote == 0)

    def ota_write_with_offset(self, handle, buf, offset):
        """Write an object of bytes at an offset, in any order. Not to be mixed with ota_write.

        ESP_ERR_INVALID_ARG: no such handle, or an offset beyond the slot. ESP_ERR_INVALID_SIZE: it ends beyond the slot.
        """
        _handle(handle, "ESP_ERR_INVALID_ARG").write(buf, offset, False)

    def end_steps(self, handle, buf=None):
        """ota_end() as a generator of short steps, through the caller's buffer `buf` (256 to 4096 bytes) if given."""
        found = _handle(handle, "ESP_ERR_NOT_FOUND")
        del _handles[handle]
        if not found.begun:
            raise esp_error("ESP_ERR_INVALID_ARG")
        yield from _verify_steps(found.part, buf)

    def ota_end(self, handle):
        """Free the handle and verify what the slot holds. Does not change what boots: that is set_boot().

        ESP_ERR_NOT_FOUND: no such handle. ESP_ERR_INVALID_ARG: nothing was written.
        ESP_ERR_OTA_VALIDATE_FAILED: not a sound app image for this chip.
        """
        image.finish(self.end_steps(handle))

    def ota_abort(self, handle):
        """Free the handle and leave the slot as it is. ESP_ERR_NOT_FOUND: no such handle."""
        _handle(handle, "ESP_ERR_NOT_FOUND")
        del _handles[handle]

    @classmethod
    def check_rollback_is_possible(cls):
        """Whether another app could boot if this one were marked invalid. Reads and hashes all of that app."""
        table, records = _otadata()
        active = otadata.active(records) if table else -1
        slots = _slots()
        if active < 0 or not slots:
            return False
        other = records[1 - active]
        subtype = _OTA_0 + otadata.slot_of(other, slots) if otadata.is_valid(other) else _FACTORY
        try:
            for part in _Stock.find(_Stock.TYPE_APP, subtype):
                image.finish(_verify_steps(part))
                return True
        except OSError:
            pass
        return False

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        """Confirm the running app. ESP_ERR_NOT_FOUND: no otadata. OSError(1): no record is active.
        ESP_ERR_INVALID_STATE: the active record names another slot than the running one."""
        table, records = _otadata()
        active = otadata.active(records) if table else -1
        if active >= 0 and otadata.slot_of(records[active], _slots()) != _slot_of(_Stock(_Stock.RUNNING)):
            raise esp_error("ESP_ERR_INVALID_STATE")
        _Stock.mark_app_valid_cancel_rollback()

    @classmethod
    def mark_app_invalid_rollback_and_reboot(cls):
        """Mark the app that the active record names INVALID and reset the chip into the other one. Returns never.

        ESP_ERR_NOT_FOUND: no otadata. OSError(1): no record is active. ESP_ERR_OTA_ROLLBACK_FAILED: no other app.
        """
        table, records = _otadata()
        if not table:
            raise esp_error("ESP_ERR_NOT_FOUND")
        active = otadata.active(records)
        if active < 0 or not _slots():
            raise esp_error("ESP_FAIL")
        if not cls.check_rollback_is_possible():
            raise esp_error("ESP_ERR_OTA_ROLLBACK_FAILED")
        seq, label = records[active][:2]
        table.ioctl(6, active)
        table.writeblocks(active, otadata.pack(seq, otadata.INVALID, label), 0)
        machine.reset()


class _Esp32:
    # Stands in for the built-in module, which cannot be changed.
    Partition = Partition

    def __getattr__(self, name):
        return getattr(esp32, name)


def install():
    """Make `from esp32 import Partition` return this class from now on, and return it."""
    sys.modules["esp32"] = _Esp32()
    return Partition
