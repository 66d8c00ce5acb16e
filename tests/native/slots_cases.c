#include "slots.h"

#include <string.h>

#include "cases.h"
#include "mbedtls/sha256.h"

// What stands in for SHA-256: every byte counts, and where it stands.

static int contexts;
static int failing;  // the step that fails: 1 starts, 2 update, 3 finish

void mbedtls_sha256_init(mbedtls_sha256_context *context) {
    memset(context, 0xAA, sizeof(*context));
    contexts++;
}

void mbedtls_sha256_free(mbedtls_sha256_context *context) {
    (void)context;
    contexts--;
}

int mbedtls_sha256_starts(mbedtls_sha256_context *context, int is224) {
    memset(context, 0, sizeof(*context));
    return failing == 1 || is224 ? -1 : 0;
}

int mbedtls_sha256_update(mbedtls_sha256_context *context, const unsigned char *data, size_t size) {
    for (size_t i = 0; i < size; i++, context->position++) {
        context->sum[context->position % 32] += (uint8_t)(data[i] * (context->position / 32 + 1) + 1);
    }
    return failing == 2 ? -1 : 0;
}

int mbedtls_sha256_finish(mbedtls_sha256_context *context, unsigned char *out) {
    memcpy(out, context->sum, 32);
    return failing == 3 ? -1 : 0;
}

CASE(a_partition_is_found_by_its_address) {
    const uint32_t addresses[] = {OTA_0_ADDRESS, OTA_1_ADDRESS, VFS_ADDRESS};
    for (int i = 0; i < 3; i++) {
        CHECK(otafleet_slots_find(addresses[i]) == chip_partition(addresses[i]));
    }
    CHECK(otafleet_slots_find(OTA_1_ADDRESS + 1) == NULL);
    CHECK(otafleet_slots_find(0) == NULL);
    CHECK(chip.iterators == 0);
}

CASE(the_first_bytes_are_hashed_and_no_more) {
    const esp_partition_t *slot = chip_partition(OTA_1_ADDRESS);
    chip_make_image(chip.flash + OTA_1_ADDRESS, SLOT_SIZE);
    const uint32_t sizes[] = {0, 1, 1023, 1024, 1025, 3 * SECTOR + 7, SLOT_SIZE};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        mbedtls_sha256_context context = {0};
        uint8_t expected[32];
        uint8_t digest[32];
        mbedtls_sha256_update(&context, chip.flash + OTA_1_ADDRESS, sizes[i]);
        mbedtls_sha256_finish(&context, expected);
        CHECK(otafleet_slots_sha256(slot, sizes[i], digest) == ESP_OK);
        CHECK(memcmp(digest, expected, 32) == 0);
    }
    CHECK(contexts == 0);
}

CASE(more_than_the_slot_holds_is_refused) {
    uint8_t digest[32];
    CHECK(otafleet_slots_sha256(chip_partition(OTA_1_ADDRESS), SLOT_SIZE + 1, digest) == ESP_ERR_INVALID_SIZE);
    CHECK(otafleet_slots_sha256(chip_partition(OTA_1_ADDRESS), (uint32_t)-1, digest) == ESP_ERR_INVALID_SIZE);
}

CASE(a_hash_that_fails_is_an_error) {
    uint8_t digest[32];
    for (failing = 1; failing <= 3; failing++) {
        CHECK(otafleet_slots_sha256(chip_partition(OTA_1_ADDRESS), 10, digest) == ESP_FAIL);
    }
    failing = 0;
    CHECK(contexts == 0);
}

int main(void) {
    RUN(a_partition_is_found_by_its_address);
    RUN(the_first_bytes_are_hashed_and_no_more);
    RUN(more_than_the_slot_holds_is_refused);
    RUN(a_hash_that_fails_is_an_error);
    return cases_failed != 0;
}
