// Pins and options are those of the stock board.
#include "boards/ESP32_GENERIC/mpconfigboard.h"

#undef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME "otafleet ESP32"

#include "../common/board.h"
