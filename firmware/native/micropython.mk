# The user C module _otafleet for ports of MicroPython that are built with make alone:
# USER_C_MODULES=<the folder above this one>. They need stand-ins for ESP-IDF's headers and functions.
OTAFLEET_DIR := $(USERMOD_DIR)

SRC_USERMOD_C += \
	$(OTAFLEET_DIR)/guard.c \
	$(OTAFLEET_DIR)/handles.c \
	$(OTAFLEET_DIR)/module.c \
	$(OTAFLEET_DIR)/signature.c \
	$(OTAFLEET_DIR)/slots.c \
	$(OTAFLEET_DIR)/text.c

CFLAGS_USERMOD += -I$(OTAFLEET_DIR)
