#include "slots.h"

#include "mbedtls/sha256.h"

// Bytes read and hashed at a time, on the stack of the calling task (a Python thread has 5 KiB).
#define PIECE (1024)

const esp_partition_t *otafleet_slots_find(uint32_t address) {
    esp_partition_iterator_t i = esp_partition_find(ESP_PARTITION_TYPE_ANY, ESP_PARTITION_SUBTYPE_ANY, NULL);
    // esp_partition_next() frees the iterator when it comes to the end.
    for (; i != NULL; i = esp_partition_next(i)) {
        const esp_partition_t *partition = esp_partition_get(i);
        if (partition->address == address) {
            esp_partition_iterator_release(i);
            return partition;
        }
    }
    return NULL;
}

esp_err_t otafleet_slots_sha256(const esp_partition_t *slot, uint32_t size, uint8_t digest[OTAFLEET_SHA256_SIZE]) {
    if (size > slot->size) {
        return ESP_ERR_INVALID_SIZE;
    }
    uint8_t piece[PIECE];
    mbedtls_sha256_context sha;
    mbedtls_sha256_init(&sha);
    esp_err_t err = mbedtls_sha256_starts(&sha, 0) == 0 ? ESP_OK : ESP_FAIL;
    for (uint32_t offset = 0; err == ESP_OK && offset < size; offset += PIECE) {
        uint32_t length = size - offset < PIECE ? size - offset : PIECE;
        err = esp_partition_read(slot, offset, piece, length);
        if (err == ESP_OK && mbedtls_sha256_update(&sha, piece, length) != 0) {
            err = ESP_FAIL;
        }
    }
    if (err == ESP_OK && mbedtls_sha256_finish(&sha, digest) != 0) {
        err = ESP_FAIL;
    }
    mbedtls_sha256_free(&sha);
    return err;
}
