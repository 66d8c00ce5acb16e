"""What can go wrong in a twin, apart from what the chip's own programs see."""

from __future__ import annotations


class TwinError(Exception):
    """The twin can't go on; the message is one line for a person and says what to do."""


class NothingBoots(TwinError):
    """The bootloader found no image that it could start. A real chip would try again for ever."""


class EspError(Exception):
    """An error of ESP-IDF, on its way to the device's program as ``OSError``.

    ``code`` is the first argument that MicroPython gives the OSError (mphalport.c, ``check_esp_err_``):
    the negated ``esp_err_t``, but 1 for ESP_FAIL and the plain errno where one exists. ``name`` is the
    second argument, empty when MicroPython itself raises and gives only the number.
    """

    def __init__(self, code: int, name: str = "") -> None:
        super().__init__(code, name)
        self.code = code
        self.name = name


_CODES = {
    "ESP_FAIL": 1,
    "ESP_ERR_NO_MEM": 12,
    "ESP_ERR_NOT_SUPPORTED": 95,
    "ESP_ERR_INVALID_ARG": -0x102,
    "ESP_ERR_INVALID_STATE": -0x103,
    "ESP_ERR_INVALID_SIZE": -0x104,
    "ESP_ERR_NOT_FOUND": -0x105,
    "ESP_ERR_NVS_NOT_FOUND": -0x1102,
    "ESP_ERR_NVS_NOT_ENOUGH_SPACE": -0x1105,
    "ESP_ERR_NVS_INVALID_NAME": -0x1106,
    "ESP_ERR_NVS_KEY_TOO_LONG": -0x1109,
    "ESP_ERR_NVS_INVALID_LENGTH": -0x110C,
    "ESP_ERR_NVS_VALUE_TOO_LONG": -0x110E,
    "ESP_ERR_OTA_VALIDATE_FAILED": -0x1503,
}


def esp_error(name: str) -> EspError:
    """The error of that name, with the code that MicroPython 1.28 gives it."""
    return EspError(_CODES[name], name)


class Abort(Exception):
    """ESP-IDF called ``abort()``: the chip prints the message and resets (reset cause: panic)."""


class PowerLost(Exception):
    """The power went in the middle of a flash operation."""
