"""What a signer writes: the payload of a manifest, its JWS, and the name of the content."""

import binascii
import hashlib
import json

from agent.protocol.limits import CONTENT_LENGTH
from agent.protocol.manifest import b64url_encode


def _canonical(value):
    if isinstance(value, dict):
        return "{" + ",".join([json.dumps(key) + ":" + _canonical(value[key]) for key in sorted(value)]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([_canonical(item) for item in value]) + "]"
    return json.dumps(value)


def encode_payload(fields: dict) -> bytes:
    """Return ``fields`` as JSON with sorted names and no white space: equal fields give equal bytes."""
    return _canonical(fields).encode()


def jws_header(kid: str) -> bytes:
    """Return the protected header for the key ``kid`` (16 lower hex digits)."""
    return b'{"alg":"ES256","kid":"' + kid.encode() + b'"}'


def signing_input(header: bytes, payload: bytes) -> bytes:
    """Return the bytes that are signed."""
    return (b64url_encode(header) + "." + b64url_encode(payload)).encode()


def compact(signed: bytes, signature: bytes) -> str:
    """Return the JWS of a signing input and its signature (r then s, 32 bytes each, big endian)."""
    return str(signed, "ascii") + "." + b64url_encode(signature)


def content_name(encoding: str, payloads: object) -> str:
    """Return the first 16 hex digits of SHA-256 over the encoding, a newline and all payloads in order."""
    digest = hashlib.sha256(encoding.encode() + b"\n")
    for payload in payloads:
        digest.update(payload)
    return str(binascii.hexlify(digest.digest()[: CONTENT_LENGTH // 2]), "ascii")
