// In this order: once started, the guard stays.
#include "guard.h"

#include "cases.h"

static bool watching;

CASE(a_confirmed_app_is_not_watched) {
    watching = true;
    CHECK(otafleet_guard_start(1000, &watching) == ESP_OK);
    CHECK(!watching && chip.timers == 0);
    chip.running_state = ESP_OTA_IMG_PENDING_VERIFY;
    chip.has_records = false;
    CHECK(otafleet_guard_start(1000, &watching) == ESP_OK);
    CHECK(!watching && chip.timers == 0);
}

CASE(a_timer_that_cannot_start_is_an_error_and_does_not_leak) {
    chip.running_state = ESP_OTA_IMG_PENDING_VERIFY;
    chip.timer_error = ESP_ERR_INVALID_STATE;
    CHECK(otafleet_guard_start(1000, &watching) == ESP_ERR_INVALID_STATE);
    CHECK(chip.timers == 0);
}

static void (*callback)(void *arg);

CASE(the_first_deadline_holds) {
    chip.running_state = ESP_OTA_IMG_PENDING_VERIFY;
    // Longer than 32 bits of microseconds.
    CHECK(otafleet_guard_start(86400 * 1000, &watching) == ESP_OK);
    CHECK(watching && chip.timers == 1);
    CHECK(chip.timer_us == 86400ull * 1000 * 1000);
    callback = chip.timer_callback;
    chip.timer_us = 0;
    CHECK(otafleet_guard_start(5, &watching) == ESP_OK);
    CHECK(watching && chip.timers == 1 && chip.timer_us == 0);
}

CASE(at_the_deadline_an_app_on_trial_is_reset) {
    chip.running_state = ESP_OTA_IMG_PENDING_VERIFY;
    callback(NULL);
    CHECK(chip.restarts == 1);
}

CASE(at_the_deadline_a_confirmed_app_goes_on) {
    callback(NULL);
    CHECK(chip.restarts == 0);
}

CASE(a_record_that_cannot_be_read_is_no_confirmation) {
    chip.has_records = false;
    callback(NULL);
    CHECK(chip.restarts == 1);
}

CASE(once_confirmed_a_second_call_says_so) {
    CHECK(otafleet_guard_start(1000, &watching) == ESP_OK);
    CHECK(!watching);
}

int main(void) {
    RUN(a_confirmed_app_is_not_watched);
    RUN(a_timer_that_cannot_start_is_an_error_and_does_not_leak);
    RUN(the_first_deadline_holds);
    RUN(at_the_deadline_an_app_on_trial_is_reset);
    RUN(at_the_deadline_a_confirmed_app_goes_on);
    RUN(a_record_that_cannot_be_read_is_no_confirmation);
    RUN(once_confirmed_a_second_call_says_so);
    return cases_failed != 0;
}
