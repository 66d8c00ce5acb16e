// What the OTAFLEET boards share: the guard starts before MicroPython does.
#pragma once

#define MICROPY_BOARD_STARTUP otafleet_board_startup
void otafleet_board_startup(void);
