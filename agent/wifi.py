"""Keeps the station interface connected where device.json names a network; elsewhere that is the app's business."""

from time import ticks_add, ticks_diff, ticks_ms

_PATIENCE_MS = 15_000  # for one attempt; ESP-IDF itself retries within it


class Wifi:
    """`settings` is device.json's {"ssid", "key"}, or None."""

    def __init__(self, settings):
        self._settings = settings
        self._due = None  # when the next attempt may be made
        if settings:
            from network import STA_IF, WLAN

            self._station = WLAN(STA_IF)

    def ready(self):
        """Whether there is a network to use. Starts an attempt to join it when none is under way; never waits."""
        if not self._settings:
            return True
        if self._station.isconnected():
            self._due = None
            return True
        now = ticks_ms()
        if self._due is None or ticks_diff(now, self._due) >= 0:
            self._due = ticks_add(now, _PATIENCE_MS)
            self._station.active(True)
            try:
                self._station.disconnect()  # ESP-IDF refuses to connect while an attempt is under way
                self._station.connect(self._settings["ssid"], self._settings.get("key") or "")
            except OSError:
                pass  # "Wifi Internal State Error": the next attempt comes after _PATIENCE_MS
        return False
