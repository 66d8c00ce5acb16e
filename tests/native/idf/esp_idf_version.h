// ESP-IDF's version arithmetic. The tests name the version: -DESP_IDF_VERSION=ESP_IDF_VERSION_VAL(5,5,1)
#pragma once

#define ESP_IDF_VERSION_VAL(major, minor, patch) ((major) << 16 | (minor) << 8 | (patch))
