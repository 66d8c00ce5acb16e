#include "handles.h"

#include <string.h>

#include "cases.h"

static uint8_t image[5 * SECTOR + 100];
static uint32_t number;

static const esp_partition_t *target(void) {
    return chip_partition(OTA_1_ADDRESS);
}

static const uint8_t *slot(void) {
    return chip.flash + OTA_1_ADDRESS;
}

static unsigned erases(uint32_t sector) {
    return chip.erases[OTA_1_ADDRESS / SECTOR + sector];
}

static unsigned most_erases(void) {
    unsigned most = 0;
    for (uint32_t sector = 0; sector < SLOT_SIZE / SECTOR; sector++) {
        most = erases(sector) > most ? erases(sector) : most;
    }
    return most;
}

CASE(a_whole_update_in_order) {
    CHECK(otafleet_handles_begin(target(), sizeof(image), &number) == ESP_OK);
    CHECK(chip.ota_handles == 1);
    CHECK(erases(5) == 1 && erases(6) == 0);
    for (uint32_t at = 0; at < sizeof(image); at += 1000) {
        uint32_t size = sizeof(image) - at < 1000 ? sizeof(image) - at : 1000;
        CHECK(otafleet_handles_write(number, image + at, size) == ESP_OK);
    }
    CHECK(memcmp(slot(), image, sizeof(image)) == 0);
    CHECK(otafleet_handles_end(number) == ESP_OK);
    CHECK(chip.ota_handles == 0);
    CHECK(most_erases() == 1);
}

CASE(a_whole_update_in_any_order) {
    CHECK(otafleet_handles_begin(target(), 0, &number) == ESP_OK);
    CHECK(erases(SLOT_SIZE / SECTOR - 1) == 1);
    CHECK(otafleet_handles_write_with_offset(number, image + SECTOR, sizeof(image) - SECTOR, SECTOR) == ESP_OK);
    CHECK(otafleet_handles_write_with_offset(number, image, SECTOR, 0) == ESP_OK);
    CHECK(otafleet_handles_end(number) == ESP_OK);
    CHECK(most_erases() == 1);
}

CASE(what_is_refused_leaves_no_handle) {
    CHECK(otafleet_handles_begin(chip_partition(OTA_0_ADDRESS), 0, &number) == ESP_ERR_OTA_PARTITION_CONFLICT);
    CHECK(otafleet_handles_begin(chip_partition(VFS_ADDRESS), 0, &number) == ESP_ERR_INVALID_ARG);
    CHECK(otafleet_handles_begin(target(), SLOT_SIZE + 1, &number) == ESP_ERR_INVALID_SIZE);
    chip.broken_sector = OTA_1_ADDRESS / SECTOR + 3;
    CHECK(otafleet_handles_begin(target(), 0, &number) == ESP_FAIL);
    chip.running_state = ESP_OTA_IMG_PENDING_VERIFY;
    CHECK(otafleet_handles_begin(target(), 0, &number) == ESP_ERR_OTA_ROLLBACK_INVALID_STATE);
    CHECK(otafleet_handles_begin(target(), OTA_WITH_SEQUENTIAL_WRITES, &number)
        == ESP_ERR_OTA_ROLLBACK_INVALID_STATE);
    CHECK(chip.ota_handles == 0);
}

CASE(a_freed_handle_is_unknown) {
    CHECK(otafleet_handles_begin(target(), 0, &number) == ESP_OK);
    CHECK(otafleet_handles_abort(number) == ESP_OK);
    CHECK(chip.ota_handles == 0);
    const uint32_t unknown[] = {number, 0, 77};
    for (int i = 0; i < 3; i++) {
        CHECK(otafleet_handles_write(unknown[i], image, 1) == ESP_ERR_INVALID_ARG);
        CHECK(otafleet_handles_write_with_offset(unknown[i], image, 1, 0) == ESP_ERR_INVALID_ARG);
        CHECK(otafleet_handles_erase(unknown[i], 0, 1) == ESP_ERR_INVALID_ARG);
        CHECK(otafleet_handles_end(unknown[i]) == ESP_ERR_NOT_FOUND);
        CHECK(otafleet_handles_abort(unknown[i]) == ESP_ERR_NOT_FOUND);
    }
    uint32_t next;
    CHECK(otafleet_handles_begin(target(), 1, &next) == ESP_OK);
    CHECK(next != number);
}

CASE(end_frees_the_handle_whatever_it_answers) {
    CHECK(otafleet_handles_begin(target(), 0, &number) == ESP_OK);
    CHECK(otafleet_handles_end(number) == ESP_ERR_INVALID_ARG);
    CHECK(otafleet_handles_begin(target(), 0, &number) == ESP_OK);
    CHECK(otafleet_handles_write(number, image, SECTOR) == ESP_OK);
    CHECK(otafleet_handles_end(number) == ESP_ERR_OTA_VALIDATE_FAILED);
    CHECK(otafleet_handles_end(number) == ESP_ERR_NOT_FOUND);
    CHECK(chip.ota_handles == 0);
}

CASE(a_new_run_of_the_interpreter_frees_what_the_last_one_left) {
    uint32_t numbers[OTAFLEET_HANDLES_MAX];
    for (int i = 0; i < OTAFLEET_HANDLES_MAX; i++) {
        CHECK(otafleet_handles_begin(target(), 1, &numbers[i]) == ESP_OK);
    }
    unsigned erased = chip.erase_calls;
    CHECK(otafleet_handles_begin(target(), 1, &number) == ESP_ERR_NO_MEM);
    CHECK(otafleet_handles_begin(target(), OTA_WITH_SEQUENTIAL_WRITES, &number) == ESP_ERR_NO_MEM);
    CHECK(chip.erase_calls == erased);
    otafleet_handles_abort_all();
    CHECK(chip.ota_handles == 0);
    CHECK(otafleet_handles_abort(numbers[0]) == ESP_ERR_NOT_FOUND);
    CHECK(otafleet_handles_begin(target(), 1, &number) == ESP_OK);
}

CASE(a_first_byte_that_is_no_image_is_refused_and_the_handle_lives) {
    const uint32_t sizes[] = {0, OTA_WITH_SEQUENTIAL_WRITES};
    for (int i = 0; i < 2; i++) {
        CHECK(otafleet_handles_begin(target(), sizes[i], &number) == ESP_OK);
        CHECK(otafleet_handles_write(number, "no image", 0) == ESP_OK);
        CHECK(otafleet_handles_write(number, "no image", 8) == ESP_ERR_OTA_VALIDATE_FAILED);
        CHECK(otafleet_handles_write(number, image, sizeof(image)) == ESP_OK);
        CHECK(otafleet_handles_end(number) == ESP_OK);
    }
}

CASE(a_sequential_handle_erases_as_it_goes) {
    CHECK(otafleet_handles_begin(target(), OTA_WITH_SEQUENTIAL_WRITES, &number) == ESP_OK);
    CHECK(chip.erase_calls == 0);
    CHECK(otafleet_handles_write(number, image, SECTOR) == ESP_OK);
    CHECK(erases(0) == 1 && erases(1) == 0);
    CHECK(otafleet_handles_write(number, image + SECTOR, 10) == ESP_OK);
    CHECK(otafleet_handles_write(number, image + SECTOR + 10, sizeof(image) - SECTOR - 10) == ESP_OK);
    CHECK(otafleet_handles_end(number) == ESP_OK);
    CHECK(most_erases() == 1 && erases(6) == 0);
}

CASE(a_sequential_handle_without_a_write_has_nothing_to_verify) {
    memcpy(chip.flash + OTA_1_ADDRESS, image, sizeof(image));
    CHECK(otafleet_handles_begin(target(), OTA_WITH_SEQUENTIAL_WRITES, &number) == ESP_OK);
    CHECK(otafleet_handles_end(number) == ESP_ERR_INVALID_ARG);
}

#if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 4, 2)

CASE(resume_keeps_what_is_right_and_erases_the_rest_once) {
    memcpy(chip.flash + OTA_1_ADDRESS, image, 2 * SECTOR);
    CHECK(otafleet_handles_resume(target(), &number) == ESP_OK);
    CHECK(chip.ota_handles == 1);
    for (uint32_t at = 5; at >= 2; at--) {
        uint32_t size = at == 5 ? 100 : SECTOR;
        // In halves, so every sector is written to twice.
        uint32_t half = size / 2;
        CHECK(otafleet_handles_write_with_offset(
            number, image + at * SECTOR + half, size - half, at * SECTOR + half) == ESP_OK);
        CHECK(otafleet_handles_write_with_offset(number, image + at * SECTOR, half, at * SECTOR) == ESP_OK);
    }
    CHECK(erases(0) == 0 && erases(1) == 0 && erases(2) == 1 && most_erases() == 1);
    CHECK(memcmp(slot(), image, sizeof(image)) == 0);
    CHECK(otafleet_handles_end(number) == ESP_OK);
    CHECK(chip.ota_handles == 0);
}

CASE(resume_verifies_an_image_that_was_whole_already) {
    memcpy(chip.flash + OTA_1_ADDRESS, image, sizeof(image));
    CHECK(otafleet_handles_resume(target(), &number) == ESP_OK);
    CHECK(otafleet_handles_end(number) == ESP_OK);
    chip.flash[OTA_1_ADDRESS + 77] ^= 1;
    CHECK(otafleet_handles_resume(target(), &number) == ESP_OK);
    CHECK(otafleet_handles_end(number) == ESP_ERR_OTA_VALIDATE_FAILED);
    CHECK(chip.erase_calls == 0);
}

CASE(resume_asks_what_begin_asks) {
    CHECK(otafleet_handles_resume(chip_partition(OTA_0_ADDRESS), &number) == ESP_ERR_OTA_PARTITION_CONFLICT);
    CHECK(otafleet_handles_resume(chip_partition(VFS_ADDRESS), &number) == ESP_ERR_INVALID_ARG);
    chip.running_state = ESP_OTA_IMG_PENDING_VERIFY;
    CHECK(otafleet_handles_resume(target(), &number) == ESP_ERR_OTA_ROLLBACK_INVALID_STATE);
    CHECK(chip.ota_handles == 0);
}

CASE(on_demand_any_order_is_safe_after_begin_too) {
    CHECK(otafleet_handles_begin(target(), OTA_WITH_SEQUENTIAL_WRITES, &number) == ESP_OK);
    CHECK(otafleet_handles_write_with_offset(number, image + 100, sizeof(image) - 100, 100) == ESP_OK);
    CHECK(otafleet_handles_write_with_offset(number, image, 100, 0) == ESP_OK);
    CHECK(most_erases() == 1);
    CHECK(otafleet_handles_end(number) == ESP_OK);
}

CASE(a_range_is_checked_before_anything_is_erased) {
    CHECK(otafleet_handles_resume(target(), &number) == ESP_OK);
    CHECK(otafleet_handles_write_with_offset(number, image, 1, SLOT_SIZE + 1) == ESP_ERR_INVALID_ARG);
    CHECK(otafleet_handles_write_with_offset(number, image, 1, (uint32_t)-1) == ESP_ERR_INVALID_ARG);
    CHECK(otafleet_handles_write_with_offset(number, image, SECTOR + 1, SLOT_SIZE - SECTOR) == ESP_ERR_INVALID_SIZE);
    CHECK(otafleet_handles_write_with_offset(number, image, 1, SLOT_SIZE) == ESP_ERR_INVALID_SIZE);
    CHECK(otafleet_handles_erase(number, 10, (uint32_t)-5) == ESP_ERR_INVALID_SIZE);
    CHECK(otafleet_handles_erase(number, 10, 0) == ESP_OK);
    CHECK(chip.erase_calls == 0);
    CHECK(otafleet_handles_write_with_offset(number, image, SECTOR, SLOT_SIZE - SECTOR) == ESP_OK);
    CHECK(erases(SLOT_SIZE / SECTOR - 1) == 1 && most_erases() == 1 && chip.erase_calls == 1);
}

CASE(erase_ahead_takes_a_run_in_one_call_and_leaves_out_what_was_erased) {
    CHECK(otafleet_handles_resume(target(), &number) == ESP_OK);
    CHECK(otafleet_handles_erase(number, 9 * SECTOR, 1) == ESP_OK);
    CHECK(chip.erase_calls == 1);
    CHECK(otafleet_handles_erase(number, 0, SLOT_SIZE) == ESP_OK);
    CHECK(chip.erase_calls == 3);
    CHECK(most_erases() == 1 && erases(8) == 1 && erases(10) == 1);
    CHECK(otafleet_handles_write_with_offset(number, image, sizeof(image), 0) == ESP_OK);
    CHECK(chip.erase_calls == 3);
}

CASE(an_erase_that_failed_is_done_again) {
    CHECK(otafleet_handles_resume(target(), &number) == ESP_OK);
    chip.broken_sector = OTA_1_ADDRESS / SECTOR + 2;
    CHECK(otafleet_handles_write_with_offset(number, image, sizeof(image), 0) == ESP_FAIL);
    CHECK(slot()[0] == 0xFF);
    chip.broken_sector = 0;
    CHECK(otafleet_handles_write_with_offset(number, image, sizeof(image), 0) == ESP_OK);
    CHECK(otafleet_handles_end(number) == ESP_OK);
}

CASE(erase_is_only_for_handles_on_demand) {
    CHECK(otafleet_handles_begin(target(), 0, &number) == ESP_OK);
    CHECK(otafleet_handles_erase(number, 0, 1) == ESP_ERR_NOT_SUPPORTED);
}

#else

CASE(an_older_esp_idf_cannot_resume) {
    CHECK(otafleet_handles_resume(target(), &number) == ESP_ERR_NOT_SUPPORTED);
    CHECK(chip.ota_handles == 0);
}

CASE(an_older_esp_idf_does_not_program_flash_that_was_not_erased) {
    CHECK(otafleet_handles_begin(target(), OTA_WITH_SEQUENTIAL_WRITES, &number) == ESP_OK);
    CHECK(otafleet_handles_write_with_offset(number, image, SECTOR, SECTOR) == ESP_ERR_NOT_SUPPORTED);
    CHECK(otafleet_handles_erase(number, 0, 1) == ESP_ERR_NOT_SUPPORTED);
}

#endif

int main(void) {
    chip_make_image(image, sizeof(image));
    RUN(a_whole_update_in_order);
    RUN(a_whole_update_in_any_order);
    RUN(what_is_refused_leaves_no_handle);
    RUN(a_freed_handle_is_unknown);
    RUN(end_frees_the_handle_whatever_it_answers);
    RUN(a_new_run_of_the_interpreter_frees_what_the_last_one_left);
    RUN(a_first_byte_that_is_no_image_is_refused_and_the_handle_lives);
    RUN(a_sequential_handle_erases_as_it_goes);
    RUN(a_sequential_handle_without_a_write_has_nothing_to_verify);
    #if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 4, 2)
    RUN(resume_keeps_what_is_right_and_erases_the_rest_once);
    RUN(resume_verifies_an_image_that_was_whole_already);
    RUN(resume_asks_what_begin_asks);
    RUN(on_demand_any_order_is_safe_after_begin_too);
    RUN(a_range_is_checked_before_anything_is_erased);
    RUN(erase_ahead_takes_a_run_in_one_call_and_leaves_out_what_was_erased);
    RUN(an_erase_that_failed_is_done_again);
    RUN(erase_is_only_for_handles_on_demand);
    #else
    RUN(an_older_esp_idf_cannot_resume);
    RUN(an_older_esp_idf_does_not_program_flash_that_was_not_erased);
    #endif
    otafleet_handles_abort_all();
    return cases_failed != 0;
}
