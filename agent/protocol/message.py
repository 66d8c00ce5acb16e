"""A control message to and from bytes: one JSON object of bounded size."""

import json

from . import limits
from .errors import ProtocolError


def parse(payload: bytes, limit: int, reason: str) -> dict:
    """Return the JSON object in ``payload`` (at most ``limit`` bytes); raise ProtocolError(reason), nothing else.

    The parser is the runtime's own: MicroPython's lets some malformed JSON pass (docs/decisions/0006), so only
    checks of single fields say what a value is. What is counted here keeps a stranger from filling a small heap.
    """
    if (
        len(payload) > limit
        or payload.count(b"[") + payload.count(b"{") > limits.JSON_CONTAINERS_MAX
        or payload.count(b'"') > limits.JSON_QUOTES_MAX
    ):
        raise ProtocolError(reason, "too large")
    try:
        # From bytes CPython would also read UTF-16 and UTF-32.
        message = json.loads(str(payload, "utf-8"))
    except Exception:  # ValueError as a rule; a full heap or stack must not stop the agent either
        message = None
    if not isinstance(message, dict):
        raise ProtocolError(reason, "no object")
    return message


def encode(message: dict, limit: int) -> bytes:
    """Return ``message`` as compact JSON; raise ValueError beyond ``limit`` bytes: that is our own mistake.

    The order of members is the dict's own, which on MicroPython is not the order of insertion.
    """
    payload = json.dumps(message, separators=(",", ":")).encode()
    if len(payload) > limit:
        raise ValueError("over %d bytes" % limit)
    return payload
