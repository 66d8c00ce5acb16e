#include "guard.h"

#include "esp_system.h"
#include "esp_timer.h"
#include "idf.h"

static esp_timer_handle_t timer;

static esp_err_t running_state(esp_ota_img_states_t *state) {
    return esp_ota_get_state_partition(esp_ota_get_running_partition(), state);
}

static void deadline(void *arg) {
    (void)arg;
    esp_ota_img_states_t state;
    // A record that cannot be read is no confirmation. Should the app have been confirmed after all, it boots again.
    if (running_state(&state) != ESP_OK || state == ESP_OTA_IMG_PENDING_VERIFY) {
        esp_restart();
    }
}

esp_err_t otafleet_guard_start(uint32_t milliseconds, bool *watching) {
    esp_ota_img_states_t state;
    *watching = running_state(&state) == ESP_OK && state == ESP_OTA_IMG_PENDING_VERIFY;
    if (!*watching || timer != NULL) {
        return ESP_OK;
    }
    const esp_timer_create_args_t args = {.callback = deadline, .name = "otafleet guard"};
    esp_timer_handle_t created;
    esp_err_t err = esp_timer_create(&args, &created);
    if (err != ESP_OK) {
        return err;
    }
    err = esp_timer_start_once(created, (uint64_t)milliseconds * 1000);
    if (err != ESP_OK) {
        esp_timer_delete(created);
        return err;
    }
    timer = created;
    return ESP_OK;
}
