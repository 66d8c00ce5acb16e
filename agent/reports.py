"""What the device says of itself: `state` is the whole truth, an `ack` is one transition."""

from binascii import hexlify

from .device import clock
from .protocol import limits
from .protocol.message import encode
from .rules import ENCODINGS, SOURCES

VERSION = "0.1.0"


def _hex(data):
    return hexlify(data).decode()


def _slot(slot):
    return {
        "slot": slot.label,
        "app_state": slot.state(),
        "sha256": _hex(slot.sha256),
        "size": slot.size,
        "version": slot.version,
    }


def _abilities(config):
    web = []
    if config.hosts:
        web = ["http", "https"] if config.cafile else ["http"]
    return list(SOURCES) + web + list(ENCODINGS) + ["ask"]


def state(device, entry, k, progress):
    """The `state` message: at most STATE_MAX bytes, for which the oldest events are left out."""
    journal = device.journal
    events = entry["events"][:]
    fields = {
        "v": limits.VERSION,
        "epoch": _hex(journal.epoch),
        "boot": journal.boots,
        "k": k,
        "protocol": [limits.VERSION],
        "can": _abilities(device.config),
        "agent": VERSION,
        "chip": device.chip,
        "project": device.project,
        "hardware": device.hardware,
        "running": device.running.label,
        "slots": [_slot(slot) for slot in (device.running, device.target) if slot],
        "slot_size": device.slot_size,
        "floor": device.floor,
        "n": entry["n"],
        "rollout": entry["rollout"],
        "attempt": entry["attempt"],
        "phase": entry["phase"],
        "reason": entry["reason"],
        "progress": progress,
        "events": events,
        "clock": clock(),
    }
    while True:
        message = encode(fields, limits.DESIRED_MAX)
        if len(message) <= limits.STATE_MAX or not events:
            return message
        events.pop(0)


def ack(device, entry, k):
    """The `ack` of the transition that `entry` has just made."""
    running = device.running
    fields = {
        "v": limits.VERSION,
        "epoch": _hex(device.journal.epoch),
        "boot": device.journal.boots,
        "k": k,
        "n": entry["n"],
        "rollout": entry["rollout"],
        "attempt": entry["attempt"],
        "phase": entry["phase"],
        "reason": entry["reason"],
        "slot": running.label,
        "app_state": running.state(),
        "sha256": _hex(running.sha256),
    }
    if entry.get("saved"):
        fields["saved"] = entry["saved"]
    return encode(fields, limits.ACK_MAX)


def online(boot, conn, there):
    """The `online` message, and the last will that is its contrary."""
    return encode({"boot": boot, "conn": conn, "online": there}, limits.ONLINE_MAX)
