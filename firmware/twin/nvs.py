"""NVS: named values that outlive resets and power cuts, in the nvs partition.

What a program sees is ESP-IDF's NVS (nvs_set_i32, nvs_set_blob, …): a value is in flash when the call
returns, ``commit`` has nothing left to do, a value that stays the same isn't written again. The layout is
our own and simpler than ESP-IDF's: the partition is two halves, one of which is in use. A half begins with
a sequence number; records are added behind it until it is full, then the live values move to the other
half, whose sequence number is written last. So a power cut loses at most the value under way, never an
older one.
"""

from __future__ import annotations

import struct
import zlib

from .errors import esp_error
from .flash import SECTOR, Flash
from .partition_table import Partition

I32 = 1
BLOB = 2
_ERASED = 3
_NAME_MAX = 15
_HEAD = struct.Struct("<II")  # sequence number, its CRC
_RECORD = struct.Struct("<IBBBxH2x")  # CRC of the rest, kind, length of namespace, of key, of value

Key = tuple[bytes, bytes]


class Nvs:
    """The values of one twin. All methods that write raise PowerLost, EspError."""

    def __init__(self, flash: Flash, partition: Partition) -> None:
        self._flash = flash
        self._half = partition.size // (2 * SECTOR) * SECTOR
        self._starts = (partition.address, partition.address + self._half)
        self._values: dict[Key, tuple[int, bytes]] = {}
        # Without a half in use (blank, or erased by somebody) the first write begins anew in half 0.
        self._current = 1
        self._seq = 0
        self._end = 0
        self._clean = False
        self._load()

    def open(self, namespace: bytes) -> None:
        """Check a namespace's name. Raises EspError."""
        if not namespace:
            raise esp_error("ESP_ERR_INVALID_ARG")
        if len(namespace) > _NAME_MAX:
            raise esp_error("ESP_ERR_NVS_KEY_TOO_LONG")

    def get(self, key: Key, kind: int) -> bytes:
        """The value of that key and kind. Raises EspError when there is none."""
        found = self._values.get(key)
        if found is None or found[0] != kind:
            raise esp_error("ESP_ERR_NVS_NOT_FOUND")
        return found[1]

    def set(self, key: Key, kind: int, value: bytes) -> None:
        """Store a value. Raises EspError: the key is too long, or there is no room."""
        if not key[1]:
            raise esp_error("ESP_ERR_INVALID_ARG")
        if len(key[1]) > _NAME_MAX:
            raise esp_error("ESP_ERR_NVS_KEY_TOO_LONG")
        if self._values.get(key) != (kind, value):
            values = {**self._values, key: (kind, value)}
            if sum(len(_record(*item)) for item in values.items()) > self._half - _HEAD.size:
                raise esp_error("ESP_ERR_NVS_NOT_ENOUGH_SPACE")
            self._store(values, _record(key, (kind, value)))

    def erase(self, key: Key) -> None:
        """Forget a key. Raises EspError when it isn't there."""
        if key not in self._values:
            raise esp_error("ESP_ERR_NVS_NOT_FOUND")
        self._store({k: v for k, v in self._values.items() if k != key}, _record(key, (_ERASED, b"")))

    def _store(self, values: dict[Key, tuple[int, bytes]], record: bytes) -> None:
        start = self._starts[self._current]
        if self._clean and self._end + len(record) <= self._half:
            self._flash.program(start + self._end, record)
            self._end += len(record)
        else:
            self._move(values)
        self._values = values

    def _move(self, values: dict[Key, tuple[int, bytes]]) -> None:
        """Write all values to the other half and let it count from now on."""
        other = 1 - self._current
        start = self._starts[other]
        body = b"".join(_record(*item) for item in values.items())
        self._flash.erase(start, self._half)
        self._flash.program(start + _HEAD.size, body)
        seq = struct.pack("<I", self._seq + 1)
        self._flash.program(start, _HEAD.pack(self._seq + 1, zlib.crc32(seq)))
        self._current, self._seq, self._end, self._clean = other, self._seq + 1, _HEAD.size + len(body), True

    def _load(self) -> None:
        for index, start in enumerate(self._starts):
            seq, check = _HEAD.unpack(self._flash.read(start, _HEAD.size))
            # The CRC of an erased number is an erased CRC.
            blank = seq == check == 0xFFFFFFFF
            if not blank and check == zlib.crc32(struct.pack("<I", seq)) and seq > self._seq:
                self._current, self._seq = index, seq
        if self._seq:
            self._replay(self._flash.read(self._starts[self._current], self._half))

    def _replay(self, data: bytes) -> None:
        offset = _HEAD.size
        while offset + _RECORD.size <= len(data):
            check, kind, space, key, size = _RECORD.unpack_from(data, offset)
            end = offset + _RECORD.size + space + key + size
            if check != zlib.crc32(data[offset + 4 : end]) or end > len(data):
                break
            names = data[offset + _RECORD.size : end]
            name = names[:space], names[space : space + key]
            if kind == _ERASED:
                self._values.pop(name, None)
            else:
                self._values[name] = kind, names[space + key :]
            offset = end
        self._end = offset
        # Behind a record that a power cut has torn nothing can be added: the next write moves on.
        self._clean = data.count(0xFF, offset) == len(data) - offset


def _record(key: Key, value: tuple[int, bytes]) -> bytes:
    rest = _RECORD.pack(0, value[0], len(key[0]), len(key[1]), len(value[1]))[4:] + key[0] + key[1] + value[1]
    return struct.pack("<I", zlib.crc32(rest)) + rest
