# The user C module _otafleet for MicroPython's esp32 port: USER_C_MODULES=<this file>.
include_guard(GLOBAL)

add_library(usermod_otafleet INTERFACE)

target_sources(usermod_otafleet INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/guard.c
    ${CMAKE_CURRENT_LIST_DIR}/handles.c
    ${CMAKE_CURRENT_LIST_DIR}/module.c
    ${CMAKE_CURRENT_LIST_DIR}/signature.c
    ${CMAKE_CURRENT_LIST_DIR}/slots.c
    ${CMAKE_CURRENT_LIST_DIR}/text.c
)

target_include_directories(usermod_otafleet INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}
)

target_link_libraries(usermod INTERFACE usermod_otafleet)
