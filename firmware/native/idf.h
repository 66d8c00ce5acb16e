// ESP-IDF's OTA functions, and which of them this version has. ESP-IDF v5.2 to v5.5 (MicroPython v1.24 to v1.28).
#pragma once

#include "esp_err.h"
#include "esp_idf_version.h"
#include "esp_ota_ops.h"
#include "esp_partition.h"

// esp_ota_resume() came with v5.4.2 and v5.5; v5.4 and v5.4.1 lack it.
#define OTAFLEET_HAS_RESUME (ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 4, 2))
