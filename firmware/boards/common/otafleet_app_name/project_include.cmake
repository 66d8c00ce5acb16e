# MicroPython calls its IDF project "micropython". This file is read after that and before IDF's component
# esp_app_format asks for the name that goes into the app descriptor.
idf_build_set_property(PROJECT_NAME "${OTAFLEET_PROJECT}")
