#include "signature.h"

#include <string.h>

#include "mbedtls/bignum.h"
#include "mbedtls/ecdsa.h"
#include "mbedtls/ecp.h"

#define HALF (32)
// An uncompressed point begins with this byte (SEC 1 section 2.3.3).
#define UNCOMPRESSED (0x04)

esp_err_t otafleet_signature_check(const uint8_t public_key[OTAFLEET_PUBLIC_SIZE],
    const uint8_t digest[OTAFLEET_DIGEST_SIZE], const uint8_t signature[OTAFLEET_SIGNATURE_SIZE], bool *good) {
    uint8_t encoded[1 + OTAFLEET_PUBLIC_SIZE] = {UNCOMPRESSED};
    memcpy(encoded + 1, public_key, OTAFLEET_PUBLIC_SIZE);

    mbedtls_ecp_group group;
    mbedtls_ecp_point point;
    mbedtls_mpi r, s;
    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&point);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);

    int result = mbedtls_ecp_group_load(&group, MBEDTLS_ECP_DP_SECP256R1);
    if (result == 0) {
        result = mbedtls_ecp_point_read_binary(&group, &point, encoded, sizeof(encoded));
    }
    if (result == 0) {
        // Reading a point does not ask whether it is on the curve.
        result = mbedtls_ecp_check_pubkey(&group, &point);
    }
    if (result == 0) {
        result = mbedtls_mpi_read_binary(&r, signature, HALF);
    }
    if (result == 0) {
        result = mbedtls_mpi_read_binary(&s, signature + HALF, HALF);
    }
    if (result == 0) {
        result = mbedtls_ecdsa_verify(&group, digest, OTAFLEET_DIGEST_SIZE, &point, &r, &s);
    }

    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_ecp_point_free(&point);
    mbedtls_ecp_group_free(&group);

    *good = result == 0;
    switch (result) {
        case 0:
        case MBEDTLS_ERR_ECP_VERIFY_FAILED:
        case MBEDTLS_ERR_ECP_INVALID_KEY:
        case MBEDTLS_ERR_ECP_BAD_INPUT_DATA:
            return ESP_OK;
        case MBEDTLS_ERR_MPI_ALLOC_FAILED:
        case MBEDTLS_ERR_ECP_ALLOC_FAILED:
            return ESP_ERR_NO_MEM;
        default:
            return ESP_FAIL;
    }
}
