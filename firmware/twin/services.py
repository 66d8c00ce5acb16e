"""What the chip does for the device's program on request: the numbers are those of chip/*.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from . import nvs, partition_io
from .errors import EspError, esp_error
from .flash import Flash
from .latency import Latency
from .nvs import Nvs
from .ota import Ota
from .wlan import Wlan


class Cause(IntEnum):
    """Why the processor started, as ``machine.reset_cause()`` says it on an ESP32."""

    POWER_ON = 1
    HARD = 2
    WATCHDOG = 3
    DEEPSLEEP = 4
    SOFT = 5


class Reset(Exception):
    """The program asked for a reset."""

    def __init__(self, cause: Cause, text: str, sleep_ms: int | None = None) -> None:
        """``sleep_ms``: for deep sleep, 0 is for ever."""
        super().__init__(text)
        self.cause = cause
        self.sleep_ms = sleep_ms


@dataclass(frozen=True)
class Request:
    """One request of the child."""

    a: int
    b: int
    c: int
    data: bytes


Answer = int | bytes
_Service = Callable[[Request], Answer]


class Services:
    """All of them, for one life of a device. They raise EspError, Abort, PowerLost, Reset, TwinError."""

    def __init__(
        self, flash: Flash, ota: Ota, values: Nvs, wlan: Wlan, latency: Latency, cause: Cause, mac: bytes
    ) -> None:
        self._flash = flash
        self._ota = ota
        self._values = values
        self._wlan = wlan
        self._latency = latency
        self._cause = cause
        self._mac = mac
        self._table: dict[int, _Service] = {
            1: self._find,
            2: self._which,
            3: self._write_blocks,
            4: self._write,
            5: self._erase,
            6: self._set_boot,
            7: self._mark_valid,
            8: self._reset,
            9: self._deepsleep,
            10: self._soft_reset,
            11: lambda _: int(self._cause),
            12: lambda _: self._mac,
            13: self._read,
            16: self._open,
            17: self._set_i32,
            18: self._get_i32,
            19: self._set_blob,
            20: self._get_blob,
            21: self._erase_key,
            32: self._active,
            33: self._connect,
            34: self._disconnect,
            35: lambda _: self._wlan.status(),
            36: lambda _: self._wlan.ssid.encode(),
            37: lambda request: self._latency.port(request.data.decode(), request.a),
        }

    def answer(self, number: int, request: Request) -> Answer:
        """Do what is asked."""
        return self._table[number](request)

    def _find(self, request: Request) -> Answer:
        label = request.data.decode() if request.c else None
        return b"".join(row.pack() for row in self._ota.find(request.a, request.b, label))

    def _which(self, request: Request) -> Answer:
        if request.a == 0:
            return self._ota.boot().pack()
        if request.a == 1:
            return self._ota.running.pack()
        if request.a == 2:
            return self._ota.next_update(self._ota.partition(request.b)).pack()
        return self._ota.labelled(request.data.decode()).pack()

    def _read(self, request: Request) -> Answer:
        return partition_io.read(self._flash, self._ota.partition(request.a), request.b, request.c)

    def _write_blocks(self, request: Request) -> Answer:
        partition = self._ota.partition(request.a)
        partition_io.write_blocks(self._flash, partition, request.b, request.c, request.data)
        return 0

    def _write(self, request: Request) -> Answer:
        partition_io.write(self._flash, self._ota.partition(request.a), request.b, request.data)
        return 0

    def _erase(self, request: Request) -> Answer:
        partition_io.erase(self._flash, self._ota.partition(request.a), request.b, request.c)
        return 0

    def _set_boot(self, request: Request) -> Answer:
        self._ota.set_boot(self._ota.partition(request.a))
        return 0

    def _mark_valid(self, _: Request) -> Answer:
        self._ota.mark_valid()
        return 0

    def _reset(self, _: Request) -> Answer:
        raise Reset(Cause.HARD, "machine.reset()")

    def _deepsleep(self, request: Request) -> Answer:
        raise Reset(Cause.DEEPSLEEP, "deep sleep", request.a)

    def _soft_reset(self, _: Request) -> Answer:
        raise Reset(Cause.SOFT, "soft reset")

    def _open(self, request: Request) -> Answer:
        self._values.open(request.data.rstrip(b"\0"))
        return 0

    def _set_i32(self, request: Request) -> Answer:
        key, _ = _split(request.data)
        self._values.set(key, nvs.I32, request.a.to_bytes(4, "little"))
        return 0

    def _get_i32(self, request: Request) -> Answer:
        key, _ = _split(request.data)
        return int.from_bytes(self._values.get(key, nvs.I32), "little", signed=True)

    def _set_blob(self, request: Request) -> Answer:
        key, value = _split(request.data)
        self._values.set(key, nvs.BLOB, value)
        return 0

    def _get_blob(self, request: Request) -> Answer:
        key, _ = _split(request.data)
        value = self._values.get(key, nvs.BLOB)
        if len(value) > request.a:
            raise esp_error("ESP_ERR_NVS_INVALID_LENGTH")
        return value

    def _erase_key(self, request: Request) -> Answer:
        key, _ = _split(request.data)
        self._values.erase(key)
        return 0

    def _active(self, request: Request) -> Answer:
        return int(self._wlan.active({0: False, 1: True}.get(request.a)))

    def _connect(self, request: Request) -> Answer:
        ssid, _, key = request.data.decode().partition("\0")
        if not self._wlan.active(None):
            raise EspError(-0x3002, "ESP_ERR_WIFI_NOT_STARTED")
        self._wlan.connect(ssid, key)
        return 0

    def _disconnect(self, _: Request) -> Answer:
        self._wlan.disconnect()
        return 0


def _split(data: bytes) -> tuple[nvs.Key, bytes]:
    space, key, value = data.split(b"\0", 2)
    return (space, key), value
