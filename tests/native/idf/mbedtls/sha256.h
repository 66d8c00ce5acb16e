// The part of mbedTLS 3's sha256.h that firmware/native uses. What it computes is no SHA-256.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t position;
    uint8_t sum[32];
} mbedtls_sha256_context;

void mbedtls_sha256_init(mbedtls_sha256_context *context);
void mbedtls_sha256_free(mbedtls_sha256_context *context);
int mbedtls_sha256_starts(mbedtls_sha256_context *context, int is224);
int mbedtls_sha256_update(mbedtls_sha256_context *context, const unsigned char *data, size_t size);
int mbedtls_sha256_finish(mbedtls_sha256_context *context, unsigned char *out);
