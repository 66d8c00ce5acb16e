"""Stable reason codes: they cross the wire, are stored, and never change their meaning.

What each says to a person is in host/reason_texts.py.
"""

# The offer and its manifest.
SUPERSEDED = "superseded"
WITHDRAWN = "withdrawn"
ALREADY_RUNNING = "already_running"
BAD_OFFER = "bad_offer"
BAD_MANIFEST = "bad_manifest"
BAD_SIGNATURE = "bad_signature"
UNKNOWN_KEY = "unknown_key"
NO_KEYS = "no_keys"
UNSUPPORTED_VERSION = "unsupported_version"
UNSUPPORTED_FIELD = "unsupported_field"
UNSUPPORTED_ENCODING = "unsupported_encoding"
UNSUPPORTED_SOURCE = "unsupported_source"
UNSUPPORTED_COMPONENT = "unsupported_component"
UNSUPPORTED_KEYS = "unsupported_keys"
WRONG_PROJECT = "wrong_project"
WRONG_HARDWARE = "wrong_hardware"
WRONG_CHIP = "wrong_chip"
TOO_LARGE = "too_large"
BELOW_FLOOR = "below_floor"
EXPIRED = "expired"
QUARANTINED = "quarantined"
NO_OTA_SLOT = "no_ota_slot"
NOT_CONFIRMED = "not_confirmed"

# The app.
DEFERRED_BY_APP = "deferred_by_app"
VETOED_BY_APP = "vetoed_by_app"

# Fetching, writing, checking.
NO_ANSWER = "no_answer"
WEB_REFUSED = "web_refused"
BAD_CERTIFICATE = "bad_certificate"
BAD_INDEX = "bad_index"
DIGEST_MISMATCH = "digest_mismatch"
BAD_IMAGE = "bad_image"
FLASH_ERROR = "flash_error"
NO_MEMORY = "no_memory"

# The new image's test.
SET_BOOT_FAILED = "set_boot_failed"
NEVER_STARTED = "never_started"
RESET_IN_TEST = "reset_in_test"
DEADLINE = "deadline"
UNREACHABLE = "unreachable"
SELFTEST_FAILED = "selftest_failed"
MANIFEST_LOST = "manifest_lost"

# The device itself.
STATE_LOST = "state_lost"
BOOT_LOOP = "boot_loop"

# What the host says of a message that it did not understand; a device never reports these.
BAD_NAME = "bad_name"
BAD_WANT = "bad_want"
BAD_REPORT = "bad_report"
