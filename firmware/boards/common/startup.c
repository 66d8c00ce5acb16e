// Start the guard before MicroPython.
//
// A frozen boot.py would not do: MicroPython prefers it to the user's /boot.py, and it is Python, which an image that
// is broken enough never reaches. MICROPY_BOARD_STARTUP is called before the interpreter's task is made; from here
// on the app has until the deadline to be confirmed, whatever becomes of it.

#include "py/mpconfig.h"

#include "guard.h"
#include "nvs.h"

// What the agent leaves for the next boot (agent/journal.py), in milliseconds, and what holds if it left nothing:
// the default of a manifest, 300 s, and time to start.
#define NVS_NAMESPACE "otafleet"
#define NVS_KEY "guard_ms"
#define DEADLINE_MS (331000)

static uint32_t deadline_ms(void) {
    int32_t stored = 0;
    nvs_handle_t nvs;
    if (nvs_open(NVS_NAMESPACE, NVS_READONLY, &nvs) == ESP_OK) {
        if (nvs_get_i32(nvs, NVS_KEY, &stored) != ESP_OK) {
            stored = 0;
        }
        nvs_close(nvs);
    }
    return stored > 0 ? (uint32_t)stored : DEADLINE_MS;
}

void otafleet_board_startup(void) {
    // MicroPython's own: NVS, the size of flash, the partition vfs.
    boardctrl_startup();
    bool watching;
    // Without a timer the app runs unguarded until its own boot.py, which has a guard in Python.
    (void)otafleet_guard_start(deadline_ms(), &watching);
}
