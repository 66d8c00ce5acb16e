// The part of mbedTLS 3's ecdsa.h that firmware/native uses.
#pragma once

#include "mbedtls/ecp.h"

int mbedtls_ecdsa_verify(mbedtls_ecp_group *group, const unsigned char *digest, size_t size,
    const mbedtls_ecp_point *point, const mbedtls_mpi *r, const mbedtls_mpi *s);
