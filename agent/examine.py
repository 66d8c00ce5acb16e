"""From an offer to a manifest that may be trusted and is wanted: signature first, then the payload, then the rules."""

from hashlib import sha256

from .protocol import manifest as manifests
from .protocol import reasons
from .protocol.errors import ProtocolError
from .rules import refusal

try:
    from _otafleet import p256_verify  # our C module, in firmware that has it

    def verify_steps(public, digest, signature):
        yield
        return p256_verify(public, digest, signature)

except ImportError:
    from .p256 import verify_steps


def verified(signed, keys):
    """Generator: the payload of the signed manifest, as checked fields. `signed` is a list of compact JWS.

    One signature by a known key is enough in version 1. Nothing of the payload is parsed before it is verified.
    Raises ProtocolError with the reason.
    """
    if not keys:
        raise ProtocolError(reasons.NO_KEYS, "no key on this device")
    manifests.same_payload(signed)
    reason = reasons.UNKNOWN_KEY
    for jws in signed:
        kid, signing_input, signature, payload = manifests.split(jws)
        if kid not in keys:
            continue
        reason = reasons.BAD_SIGNATURE
        good = yield from verify_steps(keys[kid], sha256(signing_input).digest(), signature)
        if good:
            return manifests.decode(payload)
    raise ProtocolError(reason, "no signature of this manifest can be trusted")


def examined(offer, device):
    """Generator: the manifest of `offer` when `device` may take it. Raises ProtocolError with the reason if not."""
    if offer["keys"]:
        raise ProtocolError(reasons.UNSUPPORTED_KEYS, "key lists come with a later version")
    manifest = yield from verified(offer["manifest"], device.config.keys)
    device.journal.raise_issued(manifest["issued"])
    if not device.target:
        raise ProtocolError(reasons.NO_OTA_SLOT, "no second app slot")
    if device.running.state() == "PENDING_VERIFY":
        raise ProtocolError(reasons.NOT_CONFIRMED, "the running image is not confirmed")
    reason = refusal(manifest, offer, device)
    if reason:
        raise ProtocolError(reason, "refused")
    return manifest
