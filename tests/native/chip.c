#include "chip.h"

#include <stdlib.h>
#include <string.h>

#include "esp_system.h"
#include "esp_timer.h"

chip_t chip;

static const esp_partition_t partitions[] = {
    {ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_APP_OTA_0, OTA_0_ADDRESS, SLOT_SIZE, SECTOR, "ota_0"},
    {ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_APP_OTA_1, OTA_1_ADDRESS, SLOT_SIZE, SECTOR, "ota_1"},
    {ESP_PARTITION_TYPE_DATA, (esp_partition_subtype_t)0x81, VFS_ADDRESS, SLOT_SIZE, SECTOR, "vfs"},
};
#define PARTITIONS (sizeof(partitions) / sizeof(partitions[0]))

void chip_reset(void) {
    memset(&chip, 0, sizeof(chip));
    // Not erased: whoever programs a sector without erasing it is found out.
    memset(chip.flash, 0, sizeof(chip.flash));
    chip.has_records = true;
    chip.running_state = ESP_OTA_IMG_VALID;
}

const esp_partition_t *chip_partition(uint32_t address) {
    for (size_t i = 0; i < PARTITIONS; i++) {
        if (partitions[i].address == address) {
            return &partitions[i];
        }
    }
    return NULL;
}

// An image: 0xE9, three bytes of length, the XOR of everything from byte 5 on.
static uint8_t checksum(const uint8_t *image, uint32_t size) {
    uint8_t sum = 0;
    for (uint32_t i = 5; i < size; i++) {
        sum ^= image[i];
    }
    return sum;
}

void chip_make_image(uint8_t *image, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) {
        image[i] = (uint8_t)(i * 7 + i / SECTOR);
    }
    image[0] = 0xE9;
    image[1] = (uint8_t)size;
    image[2] = (uint8_t)(size >> 8);
    image[3] = (uint8_t)(size >> 16);
    image[4] = checksum(image, size);
}

bool chip_is_image(const uint8_t *flash) {
    uint32_t size = flash[1] | (uint32_t)flash[2] << 8 | (uint32_t)flash[3] << 16;
    return flash[0] == 0xE9 && size >= 5 && size <= SLOT_SIZE && flash[4] == checksum(flash, size);
}

// esp_partition.h

struct esp_partition_iterator_opaque_ {
    size_t next;
};

esp_partition_iterator_t esp_partition_next(esp_partition_iterator_t iterator) {
    if (++iterator->next == PARTITIONS) {
        esp_partition_iterator_release(iterator);
        return NULL;
    }
    return iterator;
}

esp_partition_iterator_t esp_partition_find(
    esp_partition_type_t type, esp_partition_subtype_t subtype, const char *label) {
    if (type != ESP_PARTITION_TYPE_ANY || subtype != ESP_PARTITION_SUBTYPE_ANY || label != NULL) {
        abort();  // nobody asks for less than all
    }
    chip.iterators++;
    return calloc(1, sizeof(struct esp_partition_iterator_opaque_));
}

const esp_partition_t *esp_partition_get(esp_partition_iterator_t iterator) {
    return &partitions[iterator->next];
}

void esp_partition_iterator_release(esp_partition_iterator_t iterator) {
    chip.iterators--;
    free(iterator);
}

static esp_err_t check_range(const esp_partition_t *partition, size_t offset, size_t size) {
    if (offset > partition->size) {
        return ESP_ERR_INVALID_ARG;
    }
    return size > partition->size - offset ? ESP_ERR_INVALID_SIZE : ESP_OK;
}

esp_err_t esp_partition_read(const esp_partition_t *partition, size_t offset, void *out, size_t size) {
    esp_err_t err = check_range(partition, offset, size);
    if (err == ESP_OK) {
        memcpy(out, chip.flash + partition->address + offset, size);
    }
    return err;
}

esp_err_t esp_partition_write(const esp_partition_t *partition, size_t offset, const void *data, size_t size) {
    esp_err_t err = check_range(partition, offset, size);
    if (err == ESP_OK) {
        for (size_t i = 0; i < size; i++) {
            chip.flash[partition->address + offset + i] &= ((const uint8_t *)data)[i];
        }
    }
    return err;
}

esp_err_t esp_partition_erase_range(const esp_partition_t *partition, size_t offset, size_t size) {
    esp_err_t err = check_range(partition, offset, size);
    if (err != ESP_OK) {
        return err;
    }
    if (offset % SECTOR != 0) {
        return ESP_ERR_INVALID_ARG;
    }
    if (size % SECTOR != 0) {
        return ESP_ERR_INVALID_SIZE;
    }
    chip.erase_calls++;
    for (size_t sector = (partition->address + offset) / SECTOR; size > 0; sector++, size -= SECTOR) {
        if (sector == chip.broken_sector) {
            return ESP_FAIL;
        }
        memset(chip.flash + sector * SECTOR, 0xFF, SECTOR);
        chip.erases[sector]++;
    }
    return ESP_OK;
}

// esp_timer.h, esp_system.h

struct esp_timer {
    void (*callback)(void *arg);
};

esp_err_t esp_timer_create(const esp_timer_create_args_t *args, esp_timer_handle_t *timer) {
    *timer = calloc(1, sizeof(struct esp_timer));
    (*timer)->callback = args->callback;
    chip.timers++;
    return ESP_OK;
}

esp_err_t esp_timer_start_once(esp_timer_handle_t timer, uint64_t microseconds) {
    if (chip.timer_error == ESP_OK) {
        chip.timer_us = microseconds;
        chip.timer_callback = timer->callback;
    }
    return chip.timer_error;
}

esp_err_t esp_timer_delete(esp_timer_handle_t timer) {
    free(timer);
    chip.timers--;
    return ESP_OK;
}

void esp_restart(void) {
    chip.restarts++;
}
