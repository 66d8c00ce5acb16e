"""The offer on ``desired``, and its withdrawal, as a host writes them."""

from agent.protocol import limits
from agent.protocol.message import encode


def encode_offer(
    n: int, rollout: str, attempt: int, start: str, manifest: list[str], source: list[str], keys: int = 0
) -> bytes:
    """Return an offer; raise ValueError if it exceeds DESIRED_MAX bytes.

    ``manifest``: 1 to 3 JWS over one payload; ``keys``: version of the key list that verifies it, 0 = none.
    """
    message = {
        "v": limits.VERSION,
        "n": n,
        "rollout": rollout,
        "attempt": attempt,
        "start": start,
        "manifest": manifest[0] if len(manifest) == 1 else manifest,
        "source": source,
    }
    if keys:
        message["keys"] = keys
    return encode(message, limits.DESIRED_MAX)


def encode_withdrawal(n: int, reason: str) -> bytes:
    """Return the withdrawal of offer ``n``; ``reason`` is a code of 1 to 32 characters [a-z0-9_]."""
    return encode({"v": limits.VERSION, "n": n, "withdraw": True, "reason": reason}, limits.DESIRED_MAX)
