// Partitions by their flash address, and what they hold.
#pragma once

#include <stdint.h>

#include "idf.h"

#define OTAFLEET_SHA256_SIZE (32)

// The partition that starts at a flash address, or NULL. The address is what Python's esp32.Partition.info() gives;
// unlike a label it names one partition only.
const esp_partition_t *otafleet_slots_find(uint32_t address);

// SHA-256 over the first `size` bytes of a partition. ESP_ERR_INVALID_SIZE: it is smaller than that. Also the errors of
// esp_partition_read().
esp_err_t otafleet_slots_sha256(const esp_partition_t *slot, uint32_t size, uint8_t digest[OTAFLEET_SHA256_SIZE]);
