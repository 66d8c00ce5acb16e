"""The offer on ``desired``, and its withdrawal, as a device reads them; host/offers.py writes them."""

from . import limits
from .checks import integer, is_printable, name, sequence
from .errors import ProtocolError
from .message import parse
from .reasons import BAD_OFFER, UNSUPPORTED_VERSION

NOW = "now"
ASK = "ask"


def decode(payload: bytes) -> dict:
    """Return the checked fields: n, and either withdraw True or the offer's.

    A withdrawal's reason is for people who look on, not for the device. The offer's fields are rollout, attempt,
    start, manifest (always a list), source, keys. Raises ProtocolError bad_offer or unsupported_version, with the
    offer's n where that could be read.
    """
    message = parse(payload, limits.DESIRED_MAX, BAD_OFFER)
    n = integer(message, "n", 1, limits.N_MAX, BAD_OFFER)
    try:
        return _fields(message, n)
    except ProtocolError as error:
        error.n = n
        raise


def _fields(message, n):
    if integer(message, "v", 1, limits.N_MAX, BAD_OFFER) != limits.VERSION:
        raise ProtocolError(UNSUPPORTED_VERSION, "v")
    withdraw = message.get("withdraw", False)
    if type(withdraw) is not bool:
        raise ProtocolError(BAD_OFFER, "withdraw")
    if withdraw:
        return {"n": n, "withdraw": True}
    manifest = message.get("manifest")
    if isinstance(manifest, str):
        manifest = [manifest]
    if not isinstance(manifest, list) or not 1 <= len(manifest) <= limits.SIGNATURES_MAX:
        raise ProtocolError(BAD_OFFER, "manifest")
    for jws in manifest:
        if not is_printable(jws, 1, limits.DESIRED_MAX):
            raise ProtocolError(BAD_OFFER, "manifest")
    source = sequence(message, "source", 1, limits.SOURCES_MAX, BAD_OFFER)
    for entry in source:
        if not is_printable(entry, 1, limits.SOURCE_MAX):
            raise ProtocolError(BAD_OFFER, "source")
    start = message.get("start")
    if start not in (NOW, ASK):
        raise ProtocolError(BAD_OFFER, "start")
    return {
        "n": n,
        "rollout": name(message, "rollout", BAD_OFFER, 0),
        "attempt": integer(message, "attempt", 0, limits.ATTEMPT_MAX, BAD_OFFER, 0),
        "start": start,
        "manifest": manifest,
        "source": source,
        "keys": integer(message, "keys", 0, limits.N_MAX, BAD_OFFER, 0),
    }
