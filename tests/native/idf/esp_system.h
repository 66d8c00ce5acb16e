// The part of ESP-IDF's esp_system.h that firmware/native uses.
#pragma once

void esp_restart(void);
