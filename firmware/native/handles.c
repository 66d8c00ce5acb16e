#include "handles.h"

#include <stdbool.h>
#include <stdlib.h>

#define IMAGE_MAGIC (0xE9)

typedef struct {
    esp_ota_handle_t number;     // ESP-IDF's; 0: this place is free
    const esp_partition_t *slot;
    bool forward_only;           // ESP-IDF's own sequential mode
    uint32_t position;           // on demand: where the next otafleet_handles_write() goes
    uint8_t *erased;             // on demand: one bit per sector; else NULL
} handle_t;

static handle_t handles[OTAFLEET_HANDLES_MAX];

// Number 0 finds a free place.
static handle_t *find(uint32_t number) {
    for (size_t i = 0; i < OTAFLEET_HANDLES_MAX; i++) {
        if (handles[i].number == number) {
            return &handles[i];
        }
    }
    return NULL;
}

static handle_t *find_open(uint32_t number) {
    return number == 0 ? NULL : find(number);
}

static void forget(handle_t *handle) {
    free(handle->erased);
    *handle = (handle_t) {0};
}

static bool is_ota_slot(const esp_partition_t *partition) {
    return partition->type == ESP_PARTITION_TYPE_APP && partition->subtype >= ESP_PARTITION_SUBTYPE_APP_OTA_0
           && partition->subtype < ESP_PARTITION_SUBTYPE_APP_OTA_MAX;
}

static esp_err_t begin(const esp_partition_t *slot, uint32_t image_size, esp_ota_handle_t *number) {
    // From v5.5 ESP-IDF takes any partition that is no app, and would erase the files in vfs.
    if (!is_ota_slot(slot)) {
        return ESP_ERR_INVALID_ARG;
    }
    *number = 0;
    esp_err_t err = esp_ota_begin(slot, image_size, number);
    if (err != ESP_OK && *number != 0) {
        // From v5.5 the entry is made before the erase and stays when the erase fails.
        esp_ota_abort(*number);
        *number = 0;
    }
    return err;
}

#if OTAFLEET_HAS_RESUME
static esp_err_t open_on_demand(const esp_partition_t *slot, uint32_t written, uint32_t *number) {
    handle_t *handle = find(0);
    if (handle == NULL) {
        return ESP_ERR_NO_MEM;
    }
    // esp_ota_resume() does not ask whether the running app is confirmed, and leaves the slot's stale record in
    // otadata. esp_ota_begin() does both, and erases nothing when told that writes will be sequential.
    esp_ota_handle_t opened;
    esp_err_t err = begin(slot, OTA_WITH_SEQUENTIAL_WRITES, &opened);
    if (err != ESP_OK) {
        return err;
    }
    esp_ota_abort(opened);
    size_t sectors = slot->size / slot->erase_size;
    uint8_t *erased = calloc((sectors + 7) / 8, 1);
    if (erased == NULL) {
        return ESP_ERR_NO_MEM;
    }
    err = esp_ota_resume(slot, 0, written, &opened);
    if (err != ESP_OK) {
        free(erased);
        return err;
    }
    *handle = (handle_t) {.number = opened, .slot = slot, .erased = erased};
    *number = opened;
    return ESP_OK;
}
#endif

esp_err_t otafleet_handles_begin(const esp_partition_t *slot, uint32_t image_size, uint32_t *number) {
    bool sequential = image_size == OTA_WITH_SEQUENTIAL_WRITES;
    #if OTAFLEET_HAS_RESUME
    if (sequential) {
        return open_on_demand(slot, 0, number);
    }
    #endif
    handle_t *handle = find(0);
    if (handle == NULL) {
        return ESP_ERR_NO_MEM;
    }
    esp_ota_handle_t opened;
    esp_err_t err = begin(slot, image_size, &opened);
    if (err == ESP_OK) {
        *handle = (handle_t) {.number = opened, .slot = slot, .forward_only = sequential};
        *number = opened;
    }
    return err;
}

esp_err_t otafleet_handles_resume(const esp_partition_t *slot, uint32_t *number) {
    #if OTAFLEET_HAS_RESUME
    // esp_ota_end() only verifies where something was written. Here the image may be whole before the first write, so
    // it is told that a sector was.
    return open_on_demand(slot, slot->erase_size, number);
    #else
    (void)slot;
    (void)number;
    return ESP_ERR_NOT_SUPPORTED;
    #endif
}

static bool is_erased(const handle_t *handle, uint32_t sector) {
    return handle->erased[sector / 8] >> (sector % 8) & 1;
}

static esp_err_t erase(handle_t *handle, uint32_t offset, uint32_t size) {
    // The whole range is checked before its first sector is erased.
    if (offset > handle->slot->size) {
        return ESP_ERR_INVALID_ARG;
    }
    if (size > handle->slot->size - offset) {
        return ESP_ERR_INVALID_SIZE;
    }
    if (size == 0) {
        return ESP_OK;
    }
    uint32_t sector_size = handle->slot->erase_size;
    uint32_t stop = (offset + size - 1) / sector_size + 1;
    uint32_t sector = offset / sector_size;
    while (sector < stop) {
        // A run of sectors in one call: ESP-IDF then erases blocks of 64 KiB, several times as fast.
        uint32_t first = sector;
        while (sector < stop && !is_erased(handle, sector)) {
            sector++;
        }
        if (sector == first) {
            sector++;
            continue;
        }
        esp_err_t err =
            esp_partition_erase_range(handle->slot, first * sector_size, (sector - first) * sector_size);
        if (err != ESP_OK) {
            return err;
        }
        for (uint32_t done = first; done < sector; done++) {
            handle->erased[done / 8] |= 1 << (done % 8);
        }
    }
    return ESP_OK;
}

esp_err_t otafleet_handles_erase(uint32_t number, uint32_t offset, uint32_t size) {
    handle_t *handle = find_open(number);
    if (handle == NULL) {
        return ESP_ERR_INVALID_ARG;
    }
    return handle->erased == NULL ? ESP_ERR_NOT_SUPPORTED : erase(handle, offset, size);
}

esp_err_t otafleet_handles_write(uint32_t number, const void *data, size_t size) {
    handle_t *handle = find_open(number);
    if (handle == NULL) {
        return ESP_ERR_INVALID_ARG;
    }
    if (handle->erased == NULL) {
        return esp_ota_write(handle->number, data, size);
    }
    if (size == 0) {
        return ESP_OK;
    }
    esp_err_t err = erase(handle, handle->position, size);
    if (err == ESP_OK && handle->position == 0 && *(const uint8_t *)data != IMAGE_MAGIC) {
        err = ESP_ERR_OTA_VALIDATE_FAILED;
    }
    if (err == ESP_OK) {
        err = esp_ota_write_with_offset(handle->number, data, size, handle->position);
    }
    if (err == ESP_OK) {
        handle->position += size;
    }
    return err;
}

esp_err_t otafleet_handles_write_with_offset(uint32_t number, const void *data, size_t size, uint32_t offset) {
    handle_t *handle = find_open(number);
    if (handle == NULL) {
        return ESP_ERR_INVALID_ARG;
    }
    if (handle->forward_only) {
        return ESP_ERR_NOT_SUPPORTED;
    }
    esp_err_t err = handle->erased == NULL ? ESP_OK : erase(handle, offset, size);
    return err == ESP_OK ? esp_ota_write_with_offset(handle->number, data, size, offset) : err;
}

esp_err_t otafleet_handles_end(uint32_t number) {
    handle_t *handle = find_open(number);
    if (handle == NULL) {
        return ESP_ERR_NOT_FOUND;
    }
    // ESP-IDF frees its entry whatever the result.
    esp_err_t err = esp_ota_end(handle->number);
    forget(handle);
    return err;
}

esp_err_t otafleet_handles_abort(uint32_t number) {
    handle_t *handle = find_open(number);
    if (handle == NULL) {
        return ESP_ERR_NOT_FOUND;
    }
    esp_err_t err = esp_ota_abort(handle->number);
    forget(handle);
    return err;
}

void otafleet_handles_abort_all(void) {
    for (size_t i = 0; i < OTAFLEET_HANDLES_MAX; i++) {
        if (handles[i].number != 0) {
            otafleet_handles_abort(handles[i].number);
        }
    }
}
