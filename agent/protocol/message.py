"""A control message to and from bytes: one JSON object of bounded size."""

import json

from . import strict_json
from .errors import ProtocolError


def parse(payload: bytes, limit: int, reason: str) -> dict:
    """Return the JSON object in ``payload`` (at most ``limit`` bytes); raise ProtocolError(reason)."""
    if len(payload) > limit:
        raise ProtocolError(reason, "over %d bytes" % limit)
    try:
        message = strict_json.read(payload)
    except ValueError as error:
        raise ProtocolError(reason, "not JSON: %s" % error.args[0] if len(error.args) == 1 else "not UTF-8")
    if not isinstance(message, dict):
        raise ProtocolError(reason, "not an object")
    return message


def encode(message: dict, limit: int) -> bytes:
    """Return ``message`` as compact JSON; raise ValueError beyond ``limit`` bytes: that is our own mistake.

    The order of members is the dict's own, which on MicroPython is not the order of insertion.
    """
    payload = json.dumps(message, separators=(",", ":")).encode()
    if len(payload) > limit:
        raise ValueError("message of %d bytes, limit %d" % (len(payload), limit))
    return payload
