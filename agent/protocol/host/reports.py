"""What a device reports: ``state``, ``ack`` and ``online``, read and checked by the host.

A reason is checked for its form only: a device may be newer than this host.
"""

from agent.protocol import limits
from agent.protocol.checks import (
    hexadecimal,
    integer,
    is_hex,
    is_name,
    is_printable,
    is_version,
    made_of,
    name,
    sequence,
)
from agent.protocol.errors import ProtocolError
from agent.protocol.message import parse
from agent.protocol.phases import APP_STATES
from agent.protocol.reasons import BAD_REPORT
from .limits import CAN_MAX, EPOCH_LENGTH, EVENT_MAX, PROTOCOLS_MAX, REASON_MAX, SLOTS_MAX
from .phases import PHASES

_CODE = "abcdefghijklmnopqrstuvwxyz0123456789_"
_EVENT = _CODE + ":"


def decode_state(payload: bytes) -> dict:
    """Return the checked fields of a ``state`` message; raise ProtocolError(bad_report)."""
    message = parse(payload, limits.STATE_MAX, BAD_REPORT)
    found = _common(message)
    found["protocol"] = _each(message, "protocol", PROTOCOLS_MAX, _is_version_number)
    found["can"] = _each(message, "can", CAN_MAX, is_name)
    found["agent"] = _text(message, "agent", is_version)
    found["chip"] = name(message, "chip", BAD_REPORT)
    found["project"] = name(message, "project", BAD_REPORT)
    found["hardware"] = name(message, "hardware", BAD_REPORT, 0)
    found["running"] = name(message, "running", BAD_REPORT)
    found["slots"] = [_slot(slot) for slot in sequence(message, "slots", 1, SLOTS_MAX, BAD_REPORT)]
    found["slot_size"] = integer(message, "slot_size", 0, limits.N_MAX, BAD_REPORT)
    found["floor"] = integer(message, "floor", 0, limits.TIME_MAX, BAD_REPORT)
    found["keys"] = integer(message, "keys", 0, limits.N_MAX, BAD_REPORT, 0)
    progress = sequence(message, "progress", 2, 2, BAD_REPORT)
    done, total = progress
    if type(done) is not int or type(total) is not int or not 0 <= done <= total <= limits.N_MAX:
        raise ProtocolError(BAD_REPORT, "progress")
    found["progress"] = progress
    found["events"] = _each(message, "events", limits.EVENTS_MAX, _is_event)
    found["clock"] = integer(message, "clock", 0, limits.TIME_MAX, BAD_REPORT, 0)
    return found


def decode_ack(payload: bytes) -> dict:
    """Return the checked fields of an ``ack`` message; raise ProtocolError(bad_report)."""
    message = parse(payload, limits.ACK_MAX, BAD_REPORT)
    found = _common(message)
    found["slot"] = name(message, "slot", BAD_REPORT)
    found["app_state"] = _app_state(message)
    found["sha256"] = _text(message, "sha256", _is_digest_or_empty)
    found["saved"] = integer(message, "saved", 0, limits.N_MAX, BAD_REPORT, 0)
    return found


def decode_online(payload: bytes) -> dict:
    """Return boot, conn and online (a bool) of an ``online`` message; raise ProtocolError(bad_report)."""
    message = parse(payload, limits.ONLINE_MAX, BAD_REPORT)
    online = message.get("online")
    if type(online) is not bool:
        raise ProtocolError(BAD_REPORT, "online")
    return {
        "boot": integer(message, "boot", 0, limits.N_MAX, BAD_REPORT),
        "conn": integer(message, "conn", 0, limits.N_MAX, BAD_REPORT),
        "online": online,
    }


def _common(message: dict) -> dict:
    """What state and ack share: who said it when, and how the offer stands."""
    if integer(message, "v", 1, limits.N_MAX, BAD_REPORT) != limits.VERSION:
        raise ProtocolError(BAD_REPORT, "v")
    phase = message.get("phase")
    if phase not in PHASES:
        raise ProtocolError(BAD_REPORT, "phase")
    reason = message.get("reason", "")
    if not made_of(reason, _CODE, 0, REASON_MAX):
        raise ProtocolError(BAD_REPORT, "reason")
    return {
        "v": limits.VERSION,
        "epoch": hexadecimal(message, "epoch", EPOCH_LENGTH, BAD_REPORT),
        "boot": integer(message, "boot", 0, limits.N_MAX, BAD_REPORT),
        "k": integer(message, "k", 0, limits.N_MAX, BAD_REPORT),
        "n": integer(message, "n", 0, limits.N_MAX, BAD_REPORT),
        "rollout": name(message, "rollout", BAD_REPORT, 0),
        "attempt": integer(message, "attempt", 0, limits.ATTEMPT_MAX, BAD_REPORT, 0),
        "phase": phase,
        "reason": reason,
    }


def _slot(slot: object) -> dict:
    if not isinstance(slot, dict):
        raise ProtocolError(BAD_REPORT, "slots")
    return {
        "slot": name(slot, "slot", BAD_REPORT),
        "app_state": _app_state(slot),
        "sha256": _text(slot, "sha256", _is_digest_or_empty),
        "size": integer(slot, "size", 0, limits.N_MAX, BAD_REPORT),
        "version": _text(slot, "version", _is_label),
    }


def _app_state(message: dict) -> str:
    return _text(message, "app_state", _is_app_state)


def _text(message: dict, key: str, check: object) -> str:
    value = message.get(key)
    if not check(value):
        raise ProtocolError(BAD_REPORT, key)
    return value


def _each(message: dict, key: str, high: int, check: object) -> list:
    values = sequence(message, key, 0, high, BAD_REPORT)
    if not all(check(value) for value in values):
        raise ProtocolError(BAD_REPORT, key)
    return values


def _is_app_state(value: object) -> bool:
    return value in APP_STATES


def _is_digest_or_empty(value: object) -> bool:
    return value == "" or is_hex(value, 64)


def _is_label(value: object) -> bool:
    """Whether it is a version as an app descriptor may carry it: printable, up to 32 characters, or empty."""
    return is_printable(value, 0, limits.VERSION_MAX)


def _is_event(value: object) -> bool:
    return made_of(value, _EVENT, 1, EVENT_MAX)


def _is_version_number(value: object) -> bool:
    return type(value) is int and 0 < value <= limits.N_MAX
