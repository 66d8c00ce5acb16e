// A chip for the tests: what they set up, and what they look at afterwards. It starts anew before every case.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "esp_ota_ops.h"

#define SECTOR (4096u)
#define SLOT_SIZE (32 * SECTOR)
#define OTA_0_ADDRESS (0x10000u)
#define OTA_1_ADDRESS (OTA_0_ADDRESS + SLOT_SIZE)
#define VFS_ADDRESS (OTA_1_ADDRESS + SLOT_SIZE)
#define FLASH_SIZE (VFS_ADDRESS + SLOT_SIZE)

typedef struct {
    uint8_t flash[FLASH_SIZE];
    unsigned erases[FLASH_SIZE / SECTOR];  // per sector
    unsigned erase_calls;
    uint32_t broken_sector;                // erasing it fails; 0: none
    unsigned ota_handles;                  // entries that ESP-IDF holds
    unsigned iterators;                    // partition iterators that were not released
    bool has_records;                      // of otadata
    esp_ota_img_states_t running_state;    // of ota_0
    unsigned timers;
    int timer_error;                       // what esp_timer_start_once() answers
    uint64_t timer_us;                     // what it was started with
    void (*timer_callback)(void *arg);
    unsigned restarts;
} chip_t;

extern chip_t chip;

void chip_reset(void);

// ota_0 (which runs), ota_1 or vfs.
const esp_partition_t *chip_partition(uint32_t address);

// Make `size` bytes an image that chip_is_image() takes.
void chip_make_image(uint8_t *image, uint32_t size);
bool chip_is_image(const uint8_t *flash);
