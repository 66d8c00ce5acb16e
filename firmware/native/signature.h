// An ES256 signature (RFC 7518 section 3.4: ECDSA over P-256 with SHA-256), checked by ESP-IDF's mbedTLS.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "esp_err.h"

#define OTAFLEET_PUBLIC_SIZE (64)    // x || y, big endian
#define OTAFLEET_DIGEST_SIZE (32)
#define OTAFLEET_SIGNATURE_SIZE (64) // r || s, big endian

// Whether `signature` over `digest` is by the key `public_key`. A point off the curve, or r or s out of range, is an
// answer: false. ESP_ERR_NO_MEM and ESP_FAIL (the accelerator failed) are not: nobody knows then, and nothing may be
// made of it.
esp_err_t otafleet_signature_check(const uint8_t public_key[OTAFLEET_PUBLIC_SIZE],
    const uint8_t digest[OTAFLEET_DIGEST_SIZE], const uint8_t signature[OTAFLEET_SIGNATURE_SIZE], bool *good);
