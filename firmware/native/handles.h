// Updates under way: the handles that ESP-IDF has given out and nobody has ended or aborted yet.
//
// Theory of operation. ESP-IDF keeps an entry for each handle in its own heap, for good: a soft reset of MicroPython
// forgets the number but not the entry. So every open handle has a place here, outside Python's heap, and
// otafleet_handles_abort_all() frees what an earlier run of the interpreter left behind. The numbers are ESP-IDF's:
// from 1, growing until the chip resets, so a number that was freed is never taken for another.
//
// A handle is one of two kinds:
// - begun with a size: ESP-IDF has erased that much, and everything is passed on to it;
// - on demand (begun with OTA_WITH_SEQUENTIAL_WRITES, or resumed): nothing is erased until it is written to, then each
//   sector once. ESP-IDF's own sequential mode can only go forward: with esp_ota_write_with_offset() it
//   programs flash that was not erased, and says nothing, because MicroPython builds leave its assert() out. So such
//   a handle is opened with esp_ota_resume(), which erases nothing, and this module erases.
//
// Nothing here may run in two threads at once; module.c sees to that.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "idf.h"

// Handles that can be open at once. One is enough for an update; ESP-IDF itself has no limit.
#define OTAFLEET_HANDLES_MAX (4)

// Begin to write to an OTA slot. image_size in bytes: 0 or OTA_SIZE_UNKNOWN erases the whole slot,
// OTA_WITH_SEQUENTIAL_WRITES nothing yet. Errors are those of esp_ota_begin(); ESP_ERR_INVALID_ARG for anything but an
// OTA slot; ESP_ERR_NO_MEM also when OTAFLEET_HANDLES_MAX are open. Before v5.4.2 a sequential handle is ESP-IDF's own
// and can only go forward.
esp_err_t otafleet_handles_begin(const esp_partition_t *slot, uint32_t image_size, uint32_t *number);

// Go on with, or begin, an update without erasing what is already right. The checks and errors of esp_ota_begin().
// ESP_ERR_NOT_SUPPORTED before ESP-IDF v5.4.2.
esp_err_t otafleet_handles_resume(const esp_partition_t *slot, uint32_t *number);

// Erase the sectors that a range of bytes touches, but for those this handle has erased before. On demand only:
// ESP_ERR_NOT_SUPPORTED for another handle. ESP_ERR_INVALID_ARG for no such handle or an offset beyond the slot,
// ESP_ERR_INVALID_SIZE for an end beyond it.
esp_err_t otafleet_handles_erase(uint32_t number, uint32_t offset, uint32_t size);

// Append `size` bytes. ESP_ERR_INVALID_ARG: no such handle. ESP_ERR_OTA_VALIDATE_FAILED: the very first byte is not
// that of an image. ESP_ERR_INVALID_SIZE: beyond the slot.
esp_err_t otafleet_handles_write(uint32_t number, const void *data, size_t size);

// Write `size` bytes at an offset, in any order. Errors as otafleet_handles_erase() and esp_ota_write_with_offset().
// ESP_ERR_NOT_SUPPORTED for a sequential handle of ESP-IDF's own.
esp_err_t otafleet_handles_write_with_offset(uint32_t number, const void *data, size_t size, uint32_t offset);

// Free the handle and verify the image in its slot: esp_ota_end(). After a resume, the slot is verified even if
// nothing had to be written.
esp_err_t otafleet_handles_end(uint32_t number);

// Free the handle and leave the slot as it is. ESP_ERR_NOT_FOUND: no such handle.
esp_err_t otafleet_handles_abort(uint32_t number);

// Free every handle, because nobody can know its number any more.
void otafleet_handles_abort_all(void);
