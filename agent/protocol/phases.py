"""Phases of an update, and ESP-IDF's names for the state of a slot. host/phases.py lists and groups them."""

IDLE = "idle"  # no offer is held
OFFERED = "offered"  # examined, then waits for the grant (start "ask")
DOWNLOADING = "downloading"
VERIFYING = "verifying"  # reads the slot back
ACTIVATING = "activating"  # set_boot: from here on the offer is past withdrawal
REBOOTING = "rebooting"
TESTING = "testing"  # the new image runs, not yet confirmed
CONFIRMED = "confirmed"
REJECTED = "rejected"  # refused before a byte was fetched
DEFERRED = "deferred"  # waits for the app
STALLED = "stalled"  # nobody answers; retried for ever
FAILED = "failed"  # given up; the old image runs on
ROLLED_BACK = "rolled_back"  # the new image ran or was tried, the old one runs again
CANCELLED = "cancelled"  # withdrawn or superseded

COMMITTED = (ACTIVATING, REBOOTING, TESTING)  # past set_boot: a newer offer waits, a withdrawal is too late

# esp_ota_img_states_t of ESP-IDF 5.5 (esp_flash_partitions.h): the number in otadata, 0 to 4 or -1, finds its
# name in this tuple (ESP_OTA_IMG_UNDEFINED is 0xFFFFFFFF, which reads as -1: the last place).
APP_STATES = ("NEW", "PENDING_VERIFY", "VALID", "INVALID", "ABORTED", "UNDEFINED")
