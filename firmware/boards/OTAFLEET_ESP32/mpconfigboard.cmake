# ESP32 with two app slots and the agent. 4 MB of flash; BOARD_VARIANT=FLASH_8M for 8 MB or more.
set(OTAFLEET_STOCK_BOARD ESP32_GENERIC)
include(${CMAKE_CURRENT_LIST_DIR}/../common/board.cmake)
