"""Which image this device takes: rules without I/O, in the order in which they are asked."""

from binascii import unhexlify

from .protocol import reasons
from .protocol.limits import ATTEMPTS_MAX, UNREACHABLE_MAX

SOURCES = ("direct", "store")  # deliveries that need nothing but the broker
ENCODINGS = ("raw", "deflate")


def refusal(manifest, offer, device):
    """The reason why `device` must not take `manifest`, or None.

    `device` has project, hardware, chip, slot_size, floor, now (Unix seconds), quarantined(digest) and config.
    Order matters only in so far as the first reason is the one reported.
    """
    image = manifest["component"]
    if manifest["project"] != device.project:
        return reasons.WRONG_PROJECT
    if manifest["hardware"] and device.hardware not in manifest["hardware"]:
        return reasons.WRONG_HARDWARE
    if image["chip"] != device.chip:
        return reasons.WRONG_CHIP
    if image["size"] > device.slot_size:
        return reasons.TOO_LARGE
    if manifest["sequence"] < device.floor:
        return reasons.BELOW_FLOOR
    if manifest["expires"] and manifest["expires"] < device.now:
        return reasons.EXPIRED
    if manifest["encoding"] not in ENCODINGS:
        return reasons.UNSUPPORTED_ENCODING
    if not [source for source in offer["source"] if takes(source, device.config)]:
        return reasons.UNSUPPORTED_SOURCE
    failed = device.quarantined(unhexlify(image["sha256"]))
    if failed and _in_quarantine(failed, manifest["sequence"], offer["attempt"]):
        return reasons.QUARANTINED
    return None


def takes(source, config):
    """Whether a device with this Config can fetch from this entry of an offer's list."""
    if source in SOURCES:
        return True
    from .urls import usable

    return usable(source, config)


def _in_quarantine(failed, sequence, attempt):
    """A higher `attempt` in the offer lifts the quarantine, up to ATTEMPTS_MAX; then only a new signature does."""
    failed_sequence, failed_attempt, strikes = failed
    if sequence > failed_sequence or 0 < strikes < UNREACHABLE_MAX:
        return False
    return attempt <= failed_attempt or attempt > ATTEMPTS_MAX
