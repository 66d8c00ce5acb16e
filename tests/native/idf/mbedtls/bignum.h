// The part of mbedTLS 3's bignum.h that firmware/native uses: a number is its bytes.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MBEDTLS_ERR_MPI_ALLOC_FAILED (-0x0010)

typedef struct {
    uint8_t bytes[32];
} mbedtls_mpi;

void mbedtls_mpi_init(mbedtls_mpi *number);
void mbedtls_mpi_free(mbedtls_mpi *number);
int mbedtls_mpi_read_binary(mbedtls_mpi *number, const unsigned char *data, size_t size);
