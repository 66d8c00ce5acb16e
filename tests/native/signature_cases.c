// What is handed to mbedTLS, and what is made of its answer. That mbedTLS can tell a signature is not tested here.
#include "signature.h"

#include <string.h>

#include "cases.h"
#include "mbedtls/ecdsa.h"

static uint8_t public_key[64];
static uint8_t digest[32];
static uint8_t signature[64];

static int objects;       // initialised and not freed
static int answers[6];    // of the calls below, in their order
static bool right_values; // that mbedtls_ecdsa_verify() was given

void mbedtls_mpi_init(mbedtls_mpi *number) {
    memset(number, 0, sizeof(*number));
    objects++;
}

void mbedtls_mpi_free(mbedtls_mpi *number) {
    (void)number;
    objects--;
}

void mbedtls_ecp_group_init(mbedtls_ecp_group *group) {
    memset(group, 0, sizeof(*group));
    objects++;
}

void mbedtls_ecp_group_free(mbedtls_ecp_group *group) {
    (void)group;
    objects--;
}

void mbedtls_ecp_point_init(mbedtls_ecp_point *point) {
    memset(point, 0, sizeof(*point));
    objects++;
}

void mbedtls_ecp_point_free(mbedtls_ecp_point *point) {
    (void)point;
    objects--;
}

int mbedtls_ecp_group_load(mbedtls_ecp_group *group, mbedtls_ecp_group_id id) {
    group->id = id;
    return answers[0];
}

int mbedtls_ecp_point_read_binary(
    const mbedtls_ecp_group *group, mbedtls_ecp_point *point, const unsigned char *data, size_t size) {
    if (group->id != MBEDTLS_ECP_DP_SECP256R1 || size != sizeof(point->bytes)) {
        return MBEDTLS_ERR_ECP_BAD_INPUT_DATA;
    }
    memcpy(point->bytes, data, size);
    return answers[1];
}

int mbedtls_ecp_check_pubkey(const mbedtls_ecp_group *group, const mbedtls_ecp_point *point) {
    (void)group;
    (void)point;
    return answers[2];
}

int mbedtls_mpi_read_binary(mbedtls_mpi *number, const unsigned char *data, size_t size) {
    memcpy(number->bytes, data, size);
    return data == signature ? answers[3] : answers[4];
}

int mbedtls_ecdsa_verify(mbedtls_ecp_group *group, const unsigned char *hash, size_t size,
    const mbedtls_ecp_point *point, const mbedtls_mpi *r, const mbedtls_mpi *s) {
    right_values = group->id == MBEDTLS_ECP_DP_SECP256R1 && size == 32 && memcmp(hash, digest, 32) == 0
        && point->bytes[0] == 4 && memcmp(point->bytes + 1, public_key, 64) == 0
        && memcmp(r->bytes, signature, 32) == 0 && memcmp(s->bytes, signature + 32, 32) == 0;
    return answers[5];
}

static bool good;

static esp_err_t check(void) {
    right_values = false;
    good = true;
    return otafleet_signature_check(public_key, digest, signature, &good);
}

CASE(a_signature_that_is_right) {
    good = false;
    CHECK(check() == ESP_OK && good);
    CHECK(right_values);
    CHECK(objects == 0);
}

CASE(a_signature_that_is_wrong_is_an_answer) {
    const int wrong[] = {
        MBEDTLS_ERR_ECP_VERIFY_FAILED, MBEDTLS_ERR_ECP_INVALID_KEY, MBEDTLS_ERR_ECP_BAD_INPUT_DATA};
    for (int step = 0; step < 6; step++) {
        for (int i = 0; i < 3; i++) {
            answers[step] = wrong[i];
            CHECK(check() == ESP_OK && !good);
            CHECK(objects == 0);
            CHECK(right_values == (step == 5));
        }
        answers[step] = 0;
    }
}

CASE(no_memory_and_broken_hardware_are_no_answer) {
    for (int step = 0; step < 6; step++) {
        answers[step] = MBEDTLS_ERR_MPI_ALLOC_FAILED;
        CHECK(check() == ESP_ERR_NO_MEM && !good);
        answers[step] = MBEDTLS_ERR_ECP_ALLOC_FAILED;
        CHECK(check() == ESP_ERR_NO_MEM && !good);
        answers[step] = -0x0070;  // MBEDTLS_ERR_PLATFORM_HW_ACCEL_FAILED
        CHECK(check() == ESP_FAIL && !good);
        answers[step] = 0;
        CHECK(objects == 0);
    }
}

int main(void) {
    for (int i = 0; i < 64; i++) {
        public_key[i] = (uint8_t)(i + 1);
        signature[i] = (uint8_t)(i + 101);
        digest[i / 2] = (uint8_t)(i + 202);
    }
    RUN(a_signature_that_is_right);
    RUN(a_signature_that_is_wrong_is_an_answer);
    RUN(no_memory_and_broken_hardware_are_no_answer);
    return cases_failed != 0;
}
