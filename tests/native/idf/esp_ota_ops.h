// The part of ESP-IDF's esp_ota_ops.h and esp_app_desc.h that firmware/native uses.
#pragma once

#include "esp_err.h"
#include "esp_idf_version.h"
#include "esp_partition.h"

#define OTA_SIZE_UNKNOWN (0xFFFFFFFF)
#define OTA_WITH_SEQUENTIAL_WRITES (0xFFFFFFFE)

#define ESP_ERR_OTA_PARTITION_CONFLICT (0x1501)
#define ESP_ERR_OTA_VALIDATE_FAILED (0x1503)
#define ESP_ERR_OTA_ROLLBACK_FAILED (0x1505)
#define ESP_ERR_OTA_ROLLBACK_INVALID_STATE (0x1506)

typedef uint32_t esp_ota_handle_t;

typedef enum {
    ESP_OTA_IMG_NEW = 0,
    ESP_OTA_IMG_PENDING_VERIFY = 1,
    ESP_OTA_IMG_VALID = 2,
    ESP_OTA_IMG_UNDEFINED = 0xFFFFFFFF,
} esp_ota_img_states_t;

esp_err_t esp_ota_begin(const esp_partition_t *partition, size_t image_size, esp_ota_handle_t *handle);
esp_err_t esp_ota_write(esp_ota_handle_t handle, const void *data, size_t size);
esp_err_t esp_ota_write_with_offset(esp_ota_handle_t handle, const void *data, size_t size, uint32_t offset);
esp_err_t esp_ota_end(esp_ota_handle_t handle);
esp_err_t esp_ota_abort(esp_ota_handle_t handle);
#if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 4, 2)
esp_err_t esp_ota_resume(
    const esp_partition_t *partition, size_t erase_size, size_t image_offset, esp_ota_handle_t *handle);
#endif
const esp_partition_t *esp_ota_get_running_partition(void);
esp_err_t esp_ota_get_state_partition(const esp_partition_t *partition, esp_ota_img_states_t *state);
