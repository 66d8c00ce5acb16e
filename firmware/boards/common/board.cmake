# What the OTAFLEET boards share. A board sets OTAFLEET_STOCK_BOARD, the MicroPython board that it is built on, and
# includes this file; MicroPython's ports/esp32/CMakeLists.txt includes the board. Nothing here names a version of
# MicroPython: the stock board brings the settings that its own version needs.

get_filename_component(OTAFLEET_FIRMWARE_DIR ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)

include(${CMAKE_SOURCE_DIR}/boards/${OTAFLEET_STOCK_BOARD}/mpconfigboard.cmake)

# What the app says of itself (esp_app_desc_t has room for 31 bytes). IDF takes PROJECT_VER from here.
set(OTAFLEET_PROJECT "$ENV{OTAFLEET_PROJECT}")
if(OTAFLEET_PROJECT STREQUAL "")
    set(OTAFLEET_PROJECT "otafleet")
endif()
set(PROJECT_VER "$ENV{OTAFLEET_VERSION}")
if(PROJECT_VER STREQUAL "")
    set(PROJECT_VER "0")
endif()
string(LENGTH "${OTAFLEET_PROJECT}" OTAFLEET_PROJECT_LENGTH)
if(NOT OTAFLEET_PROJECT MATCHES "^[A-Za-z0-9_-]+$" OR OTAFLEET_PROJECT_LENGTH GREATER 31)
    message(FATAL_ERROR "OTAFLEET_PROJECT must be 1 to 31 of A-Z, a-z, 0-9, _ and -, not \"${OTAFLEET_PROJECT}\".")
endif()
string(LENGTH "${PROJECT_VER}" OTAFLEET_VERSION_LENGTH)
if(NOT PROJECT_VER MATCHES "^[A-Za-z0-9._+-]+$" OR OTAFLEET_VERSION_LENGTH GREATER 31)
    message(FATAL_ERROR "OTAFLEET_VERSION must be 1 to 31 of A-Z, a-z, 0-9, ., _, + and -, not \"${PROJECT_VER}\".")
endif()

# otafleet_flash(SIZE): use firmware/partitions/ota-<SIZE>MiB.csv. A table outside of MicroPython's tree needs its
# absolute path, which only a settings file that is written here can hold.
function(otafleet_flash SIZE)
    set(TABLE ${OTAFLEET_FIRMWARE_DIR}/partitions/ota-${SIZE}MiB.csv)
    set(SETTINGS ${CMAKE_BINARY_DIR}/sdkconfig.otafleet-${SIZE}MiB)
    set(TEXT "")
    foreach(OTHER 2 4 8 16)
        if(NOT OTHER EQUAL SIZE)
            string(APPEND TEXT "CONFIG_ESPTOOLPY_FLASHSIZE_${OTHER}MB=n\n")
        endif()
    endforeach()
    string(APPEND TEXT "CONFIG_ESPTOOLPY_FLASHSIZE_${SIZE}MB=y\n")
    string(APPEND TEXT "CONFIG_PARTITION_TABLE_CUSTOM=y\n")
    string(APPEND TEXT "CONFIG_PARTITION_TABLE_CUSTOM_FILENAME=\"${TABLE}\"\n")
    file(WRITE ${SETTINGS} "${TEXT}")
    set(SDKCONFIG_DEFAULTS ${SDKCONFIG_DEFAULTS} ${SETTINGS} PARENT_SCOPE)
endfunction()

# Later settings win: ours follow those of the stock board.
list(APPEND SDKCONFIG_DEFAULTS ${CMAKE_CURRENT_LIST_DIR}/sdkconfig.board)
otafleet_flash(4)

list(APPEND USER_C_MODULES ${OTAFLEET_FIRMWARE_DIR}/native/micropython.cmake)
list(APPEND MICROPY_SOURCE_BOARD ${CMAKE_CURRENT_LIST_DIR}/startup.c)
list(APPEND EXTRA_COMPONENT_DIRS ${CMAKE_CURRENT_LIST_DIR}/otafleet_app_name)
set(MICROPY_FROZEN_MANIFEST ${CMAKE_CURRENT_LIST_DIR}/manifest.py)
