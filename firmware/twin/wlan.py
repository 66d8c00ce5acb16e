"""The station side of a twin's WLAN: which networks are in the air, and whether it has joined one."""

from __future__ import annotations

import time
from collections.abc import Mapping

IDLE = 1000
CONNECTING = 1001
GOT_IP = 1010
WRONG_PASSWORD = 202
NO_AP_FOUND = 201
JOIN_S = 0.02
"""Seconds from connect() to an address."""


class Wlan:
    """State of the interface since reset; the numbers are those of ``network.STAT_…`` on an ESP32."""

    def __init__(self, air: Mapping[str, str]) -> None:
        """``air`` maps the networks in reach to their keys; it may change at any time."""
        self._air = air
        self._active = False
        self._ssid: str | None = None
        self._key = ""
        self._since = 0.0

    @property
    def ssid(self) -> str:
        """The network that was asked for."""
        return self._ssid or ""

    def active(self, on: bool | None) -> bool:
        """Switch on or off, and tell."""
        if on is not None:
            self._active = on
            if not on:
                self._ssid = None
        return self._active

    def connect(self, ssid: str, key: str) -> None:
        """Begin to join a network."""
        self._ssid, self._key, self._since = ssid, key, time.monotonic()

    def disconnect(self) -> None:
        """Leave it."""
        self._ssid = None

    def status(self) -> int:
        """How far it is."""
        if not self._active or self._ssid is None:
            return IDLE
        if time.monotonic() - self._since < JOIN_S:
            return CONNECTING
        if self._ssid not in self._air:
            return NO_AP_FOUND
        return GOT_IP if self._air[self._ssid] in ("", self._key) else WRONG_PASSWORD
