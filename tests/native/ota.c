// ESP-IDF's OTA functions over the test chip: what app_update/esp_ota_ops.c of v5.2 to v5.5 checks, in its order,
// what it erases and programs, and what it forgets.
#include "esp_ota_ops.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "chip.h"

typedef struct entry {
    struct entry *next;
    esp_ota_handle_t handle;
    const esp_partition_t *partition;
    bool need_erase;
    uint32_t wrote;
} entry_t;

static entry_t *entries;
static esp_ota_handle_t last;

const esp_partition_t *esp_ota_get_running_partition(void) {
    return chip_partition(OTA_0_ADDRESS);
}

esp_err_t esp_ota_get_state_partition(const esp_partition_t *partition, esp_ota_img_states_t *state) {
    if (!chip.has_records || partition->address != OTA_0_ADDRESS) {
        return ESP_ERR_NOT_FOUND;
    }
    *state = chip.running_state;
    return ESP_OK;
}

static esp_err_t check_slot(const esp_partition_t *partition) {
    #if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 5, 0)
    if (partition->type != ESP_PARTITION_TYPE_APP) {
        return ESP_OK;
    }
    #endif
    if (partition->type != ESP_PARTITION_TYPE_APP || partition->subtype < ESP_PARTITION_SUBTYPE_APP_OTA_0) {
        return ESP_ERR_INVALID_ARG;
    }
    return partition == esp_ota_get_running_partition() ? ESP_ERR_OTA_PARTITION_CONFLICT : ESP_OK;
}

static entry_t *add(const esp_partition_t *partition, bool need_erase, uint32_t wrote) {
    entry_t *entry = calloc(1, sizeof(entry_t));
    *entry = (entry_t) {entries, ++last, partition, need_erase, wrote};
    entries = entry;
    chip.ota_handles++;
    return entry;
}

static entry_t *find(esp_ota_handle_t handle) {
    entry_t *entry = entries;
    while (entry != NULL && entry->handle != handle) {
        entry = entry->next;
    }
    return entry;
}

esp_err_t esp_ota_begin(const esp_partition_t *partition, size_t image_size, esp_ota_handle_t *handle) {
    esp_err_t err = check_slot(partition);
    if (err != ESP_OK) {
        return err;
    }
    if (chip.has_records && chip.running_state == ESP_OTA_IMG_PENDING_VERIFY) {
        return ESP_ERR_OTA_ROLLBACK_INVALID_STATE;
    }
    bool sequential = image_size == OTA_WITH_SEQUENTIAL_WRITES;
    #if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 5, 0)
    *handle = add(partition, sequential, 0)->handle;
    #endif
    if (!sequential) {
        bool all = image_size == 0 || image_size == OTA_SIZE_UNKNOWN;
        size_t size = all ? partition->size : (image_size + SECTOR - 1) / SECTOR * SECTOR;
        err = esp_partition_erase_range(partition, 0, size);
    }
    #if ESP_IDF_VERSION < ESP_IDF_VERSION_VAL(5, 5, 0)
    if (err == ESP_OK) {
        *handle = add(partition, sequential, 0)->handle;
    }
    #endif
    return err;
}

#if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 4, 2)
esp_err_t esp_ota_resume(
    const esp_partition_t *partition, size_t erase_size, size_t image_offset, esp_ota_handle_t *handle) {
    esp_err_t err = image_offset > partition->size ? ESP_ERR_INVALID_ARG : check_slot(partition);
    if (err == ESP_OK) {
        *handle = add(partition, erase_size == OTA_WITH_SEQUENTIAL_WRITES, (uint32_t)image_offset)->handle;
    }
    return err;
}
#endif

esp_err_t esp_ota_write(esp_ota_handle_t handle, const void *data, size_t size) {
    entry_t *entry = find(handle);
    if (data == NULL || entry == NULL) {
        return ESP_ERR_INVALID_ARG;
    }
    if (size == 0) {
        return ESP_OK;
    }
    if (entry->need_erase) {
        uint32_t first = (entry->wrote + SECTOR - 1) / SECTOR;
        uint32_t stop = (uint32_t)((entry->wrote + size + SECTOR - 1) / SECTOR);
        if (stop > first) {
            esp_err_t err =
                esp_partition_erase_range(entry->partition, first * SECTOR, (stop - first) * SECTOR);
            if (err != ESP_OK) {
                return err;
            }
        }
    }
    if (entry->wrote == 0 && *(const uint8_t *)data != 0xE9) {
        return ESP_ERR_OTA_VALIDATE_FAILED;
    }
    esp_err_t err = esp_partition_write(entry->partition, entry->wrote, data, size);
    if (err == ESP_OK) {
        entry->wrote += (uint32_t)size;
    }
    return err;
}

esp_err_t esp_ota_write_with_offset(esp_ota_handle_t handle, const void *data, size_t size, uint32_t offset) {
    entry_t *entry = find(handle);
    if (data == NULL || entry == NULL) {
        return ESP_ERR_INVALID_ARG;
    }
    assert(!entry->need_erase);
    esp_err_t err = esp_partition_write(entry->partition, offset, data, size);
    if (err == ESP_OK) {
        entry->wrote += (uint32_t)size;
    }
    return err;
}

esp_err_t esp_ota_abort(esp_ota_handle_t handle) {
    entry_t *entry = find(handle);
    if (entry == NULL) {
        return ESP_ERR_NOT_FOUND;
    }
    entry_t **link = &entries;
    while (*link != entry) {
        link = &(*link)->next;
    }
    *link = entry->next;
    free(entry);
    chip.ota_handles--;
    return ESP_OK;
}

esp_err_t esp_ota_end(esp_ota_handle_t handle) {
    entry_t *entry = find(handle);
    if (entry == NULL) {
        return ESP_ERR_NOT_FOUND;
    }
    esp_err_t err = ESP_OK;
    if (entry->wrote == 0) {
        err = ESP_ERR_INVALID_ARG;
    } else if (!chip_is_image(chip.flash + entry->partition->address)) {
        err = ESP_ERR_OTA_VALIDATE_FAILED;
    }
    esp_ota_abort(handle);
    return err;
}
