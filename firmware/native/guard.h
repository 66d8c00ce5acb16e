// The guard: an app that is on trial and has not been confirmed at its deadline is reset, so the boot loader takes the
// other slot.
//
// Theory of operation. It is a timer of ESP-IDF, in a task of its own with a higher priority than Python's. It needs
// nothing of the interpreter: it also resets an app that never yields, that hangs in a C function, that
// cannot be imported, that has fallen into the REPL or that resets itself softly again and again. Once started
// it cannot be stopped or put off; that the slot is confirmed is what it looks for when the time comes. It counts
// the time since it was started, not across a reset or deep sleep; after those it is started anew.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "esp_err.h"

// Start the guard if the running slot is PENDING_VERIFY. *watching says whether there is something to guard: a second
// call says the same and changes nothing, the first deadline holds. Errors are those of esp_timer.
esp_err_t otafleet_guard_start(uint32_t milliseconds, bool *watching);
