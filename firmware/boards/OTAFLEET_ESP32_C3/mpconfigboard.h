// Pins and options are those of the stock board.
#include "boards/ESP32_GENERIC_C3/mpconfigboard.h"

#undef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME "otafleet ESP32-C3"

#include "../common/board.h"
