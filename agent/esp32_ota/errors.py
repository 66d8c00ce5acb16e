"""ESP-IDF's error codes as MicroPython raises them: OSError(code, "ESP_ERR_...").

The codes are those of ports/esp32/mphalport.c (check_esp_err): minus ESP-IDF's number, save for the two that
MicroPython maps to an errno.
"""

_CODES = {
    "ESP_FAIL": 1,
    "ESP_ERR_NOT_SUPPORTED": 95,
    "ESP_ERR_INVALID_ARG": -0x102,
    "ESP_ERR_INVALID_STATE": -0x103,
    "ESP_ERR_INVALID_SIZE": -0x104,
    "ESP_ERR_NOT_FOUND": -0x105,
    "ESP_ERR_OTA_PARTITION_CONFLICT": -0x1501,
    "ESP_ERR_OTA_VALIDATE_FAILED": -0x1503,
    "ESP_ERR_OTA_ROLLBACK_FAILED": -0x1505,
    "ESP_ERR_OTA_ROLLBACK_INVALID_STATE": -0x1506,
}


def esp_error(name):
    """The OSError for ESP-IDF's error `name`, to be raised by the caller."""
    return OSError(_CODES[name], name)
