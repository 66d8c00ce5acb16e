// The part of mbedTLS 3's ecp.h that firmware/native uses: a point is the bytes it was read from.
#pragma once

#include "mbedtls/bignum.h"

#define MBEDTLS_ERR_ECP_BAD_INPUT_DATA (-0x4F80)
#define MBEDTLS_ERR_ECP_VERIFY_FAILED (-0x4E00)
#define MBEDTLS_ERR_ECP_ALLOC_FAILED (-0x4D80)
#define MBEDTLS_ERR_ECP_INVALID_KEY (-0x4C80)

typedef enum { MBEDTLS_ECP_DP_SECP256R1 = 3 } mbedtls_ecp_group_id;

typedef struct {
    mbedtls_ecp_group_id id;
} mbedtls_ecp_group;

typedef struct {
    uint8_t bytes[65];
} mbedtls_ecp_point;

void mbedtls_ecp_group_init(mbedtls_ecp_group *group);
void mbedtls_ecp_group_free(mbedtls_ecp_group *group);
int mbedtls_ecp_group_load(mbedtls_ecp_group *group, mbedtls_ecp_group_id id);
void mbedtls_ecp_point_init(mbedtls_ecp_point *point);
void mbedtls_ecp_point_free(mbedtls_ecp_point *point);
int mbedtls_ecp_point_read_binary(
    const mbedtls_ecp_group *group, mbedtls_ecp_point *point, const unsigned char *data, size_t size);
int mbedtls_ecp_check_pubkey(const mbedtls_ecp_group *group, const mbedtls_ecp_point *point);
