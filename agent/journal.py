"""What must survive a reset: one NVS blob for the update, and small keys whose format never changes.

The blob `journal` is <format u8, length u16, CRC-32 u32> and a JSON object; it is written once per transition, before
the step that the transition announces. A blob that is missing, torn or of an unknown format reads as nothing: the
device is idle, and finds out the rest from its flash and from the broker.

The other keys are read by agents older than the one that wrote them (after a rollback), so they are plain integers
and fixed records for good: `epoch` and `boots` name this device's boots, `floor` is the lowest sequence it takes,
`issued` the latest signing time seen, `quarantine` holds images that have rolled back, `guard_ms` tells boot.py how
long an image may stay unconfirmed.
"""

import json
import struct
from binascii import crc32
from os import urandom

from esp32 import NVS

_NAMESPACE = "otafleet"
_FORMAT = 1
_HEAD = "<BHI"
_HEAD_SIZE = 7
_RECORD = "<8sIBB"  # of the quarantine: digest prefix, sequence and attempt that failed last, strikes
_RECORD_SIZE = 14
_QUARANTINE_MAX = 4  # records; the oldest goes first


ENTRY_MAX = 5120  # bytes of the blob: the longest offer, and what else an entry has
_NOT_FOUND = -0x1102  # ESP_ERR_NVS_NOT_FOUND


class JournalError(Exception):
    """The entry can't be stored: the NVS is full or failing."""


class Journal:
    """The stored entry of the update (what is in it is the agent's), and the keys beside it.

    `lost` says that there was an entry which could not be read; `boots` counts boots, this one included; `epoch` is
    drawn when the NVS is empty.
    """

    def __init__(self):
        self._nvs = NVS(_NAMESPACE)
        self.lost = False
        self.epoch = self._blob("epoch", bytearray(4))
        try:
            self.boots = self._nvs.get_i32("boots") + 1
        except OSError:
            self.boots = 1
        try:
            if not self.epoch:
                self.epoch = urandom(4)
                self._nvs.set_blob("epoch", self.epoch)
            self._nvs.set_i32("boots", self.boots)
            self._nvs.commit()
        except OSError:
            pass  # an NVS that takes nothing is met again, and told, by the first update

    def _blob(self, key, buffer):
        try:
            length = self._nvs.get_blob(key, buffer)
        except OSError as error:
            return b"" if error.args[0] == _NOT_FOUND else None
        return bytes(memoryview(buffer)[:length])

    def read(self, buffer):
        """The stored entry as a dict, or None when there is none that can be believed (`lost` tells which).

        `buffer`, of ENTRY_MAX bytes, is lent for the while.
        """
        blob = self._blob("journal", buffer)
        if blob == b"":
            return None
        try:
            kind, length, crc = struct.unpack(_HEAD, blob or b"")
            body = blob[_HEAD_SIZE : _HEAD_SIZE + length]
            if kind == _FORMAT and len(body) == length and crc32(body) == crc:
                return json.loads(body)
        except ValueError:
            pass
        self.lost = True
        return None

    def write(self, entry):
        """Store the entry. Raises JournalError when the NVS does not take it."""
        body = json.dumps(entry).encode()
        if len(body) > ENTRY_MAX - _HEAD_SIZE:
            raise JournalError("too long to be read again")
        try:
            self._nvs.set_blob("journal", struct.pack(_HEAD, _FORMAT, len(body), crc32(body)) + body)
            self._nvs.commit()
        except OSError as error:
            raise JournalError(error)

    def guard(self, milliseconds):
        """Tell boot.py how long the next image may stay unconfirmed."""
        self._nvs.set_i32("guard_ms", milliseconds)
        self._nvs.commit()

    def _keep(self, key, value):
        """Store a key beside the entry, if the NVS takes it.

        One that does not is met again, and told, by the next update: no new image boots unless its entry is stored.
        """
        try:
            self._nvs.set_blob(key, value)
            self._nvs.commit()
        except OSError:
            pass

    def _stamp(self, key):
        stored = self._blob(key, bytearray(8))
        return int.from_bytes(stored, "little") if stored else 0

    def _raise_stamp(self, key, value):
        if value > self._stamp(key):
            self._keep(key, value.to_bytes(8, "little"))

    def floor(self):
        """The lowest sequence that this device takes, as far as the NVS knows."""
        return self._stamp("floor")

    def raise_floor(self, sequence):
        self._raise_stamp("floor", sequence)

    def issued(self):
        """The latest signing time, Unix seconds, of any manifest verified here: the clock of a device without one."""
        return self._stamp("issued")

    def raise_issued(self, seconds):
        self._raise_stamp("issued", seconds)

    def _quarantine(self):
        stored = self._blob("quarantine", bytearray(_RECORD_SIZE * _QUARANTINE_MAX)) or b""
        return [
            struct.unpack_from(_RECORD, stored, at)
            for at in range(0, len(stored) - _RECORD_SIZE + 1, _RECORD_SIZE)
        ]

    def quarantined(self, sha256):
        """(sequence, attempt, strikes) of the image with this digest, or None."""
        for record in self._quarantine():
            if record[0] == sha256[:8]:
                return record[1:]
        return None

    def quarantine(self, sha256, sequence, attempt, strikes):
        """Remember that this image, under the manifest of this sequence, rolled back."""
        records = [record for record in self._quarantine() if record[0] != sha256[:8]]
        records.append((sha256[:8], sequence, min(attempt, 255), min(strikes, 255)))
        packed = b"".join([struct.pack(_RECORD, *record) for record in records[-_QUARANTINE_MAX:]])
        self._keep("quarantine", packed)
