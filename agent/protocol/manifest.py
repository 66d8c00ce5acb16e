"""The signed manifest: JWS compact serialisation (RFC 7515 section 3.1), always ES256 (RFC 7518 section 3.4).

A device calls split(), checks the signature over the signing input, and only then decode(): nothing of the
payload is parsed before it is known to be genuine.
"""

import binascii

from . import limits
from .checks import hexadecimal, integer, is_hex, is_name, is_version, name, sequence
from .errors import ProtocolError
from .index import pages
from .message import parse
from .reasons import (
    BAD_MANIFEST,
    UNSUPPORTED_COMPONENT,
    UNSUPPORTED_ENCODING,
    UNSUPPORTED_FIELD,
    UNSUPPORTED_VERSION,
)

RAW = "raw"
DEFLATE = "deflate"
APP = "app"

# Names that "critical" may list: all that this version knows at the top of a manifest.
FIELDS = (
    "v",
    "project",
    "version",
    "sequence",
    "floor",
    "issued",
    "expires",
    "confirm_s",
    "chunk",
    "content",
    "encoding",
    "index",
    "components",
    "hardware",
    "critical",
)


def b64url_encode(data: bytes) -> str:
    """Return base64url without padding (RFC 7515 section 2)."""
    text = str(binascii.b2a_base64(data), "ascii")
    return text.rstrip("\n=").replace("+", "-").replace("/", "_")


def b64url_decode(text: str) -> bytes:
    """Return the bytes of canonical, unpadded base64url; raise ProtocolError(bad_manifest)."""
    try:
        data = binascii.a2b_base64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
    except ValueError:
        raise ProtocolError(BAD_MANIFEST, "base64url")
    # Both runtimes skip what is no base64 and ignore stray bits, so the way back decides.
    if b64url_encode(data) != text:
        raise ProtocolError(BAD_MANIFEST, "base64url")
    return data


def split(jws: str) -> tuple[str, bytes, bytes, bytes]:
    """Return (kid, signing input, signature of 64 bytes, payload) without parsing the payload.

    Raises ProtocolError(bad_manifest) unless the header is at most JWS_HEADER_MAX bytes and holds exactly
    "alg", which is "ES256", and "kid", 16 lower hex digits.
    """
    parts = jws.split(".") if len(jws) <= limits.DESIRED_MAX else ()
    if len(parts) != 3:
        raise ProtocolError(BAD_MANIFEST, "jws")
    header = parse(b64url_decode(parts[0]), limits.JWS_HEADER_MAX, BAD_MANIFEST)
    if len(header) != 2 or header.get("alg") != "ES256" or not is_hex(header.get("kid"), limits.KID_LENGTH):
        raise ProtocolError(BAD_MANIFEST, "jws")
    signature = b64url_decode(parts[2])
    if len(signature) != 64:
        raise ProtocolError(BAD_MANIFEST, "jws")
    payload = b64url_decode(parts[1])
    return header["kid"], (parts[0] + "." + parts[1]).encode(), signature, payload


def same_payload(manifests: list[str]) -> None:
    """Raise ProtocolError(bad_manifest) unless all the JWS are over one and the same payload."""
    payload = manifests[0].split(".")[1:2]
    for jws in manifests:
        if jws.split(".")[1:2] != payload:
            raise ProtocolError(BAD_MANIFEST, "payloads differ")


def decode(payload: bytes) -> dict:
    """Return the checked fields of a payload whose signature has been verified.

    All of FIELDS but "components", and "component" instead, the only one. Absent: expires 0 (none), confirm_s
    CONFIRM_S, hardware [] (any), critical []. Raises ProtocolError bad_manifest, unsupported_version,
    unsupported_field, unsupported_encoding or unsupported_component.
    """
    message = parse(payload, limits.DESIRED_MAX, BAD_MANIFEST)
    # First what decides whether the rest means what this version thinks it does.
    if integer(message, "v", 1, limits.N_MAX, BAD_MANIFEST) != limits.VERSION:
        raise ProtocolError(UNSUPPORTED_VERSION, "v")
    critical = _names(message, "critical", limits.CRITICAL_MAX)
    for field in critical:
        if field not in FIELDS:
            raise ProtocolError(UNSUPPORTED_FIELD, field)
    if integer(message, "chunk", 1, limits.N_MAX, BAD_MANIFEST) != limits.CHUNK:
        raise ProtocolError(UNSUPPORTED_FIELD, "chunk")
    encoding = name(message, "encoding", BAD_MANIFEST)
    if encoding not in (RAW, DEFLATE):
        raise ProtocolError(UNSUPPORTED_ENCODING, "encoding")
    component = _component(message)
    version = message.get("version")
    if not is_version(version):
        raise ProtocolError(BAD_MANIFEST, "version")
    order = integer(message, "sequence", 1, limits.TIME_MAX, BAD_MANIFEST)
    issued = integer(message, "issued", 1, limits.TIME_MAX, BAD_MANIFEST)
    expires = integer(message, "expires", 0, limits.TIME_MAX, BAD_MANIFEST, 0)
    if 0 < expires <= issued:
        raise ProtocolError(BAD_MANIFEST, "expires")
    index = sequence(message, "index", 1, limits.PAGES_MAX, BAD_MANIFEST)
    if len(index) != pages(component["size"]) or not all(is_hex(digest, 64) for digest in index):
        raise ProtocolError(BAD_MANIFEST, "index")
    return {
        "v": limits.VERSION,
        "project": name(message, "project", BAD_MANIFEST),
        "version": version,
        "sequence": order,
        # A floor above the image's own sequence would make the image refuse itself once it is confirmed.
        "floor": integer(message, "floor", 0, order, BAD_MANIFEST),
        "issued": issued,
        "expires": expires,
        "confirm_s": integer(
            message, "confirm_s", limits.CONFIRM_S_MIN, limits.CONFIRM_S_MAX, BAD_MANIFEST, limits.CONFIRM_S
        ),
        "chunk": limits.CHUNK,
        "content": hexadecimal(message, "content", limits.CONTENT_LENGTH, BAD_MANIFEST),
        "encoding": encoding,
        "index": index,
        "component": component,
        "hardware": _names(message, "hardware", limits.HARDWARE_MAX),
        "critical": critical,
    }


def _names(message, key, high):
    names = sequence(message, key, 0, high, BAD_MANIFEST, [])
    if not all(is_name(item) for item in names):
        raise ProtocolError(BAD_MANIFEST, key)
    return names


def _component(message):
    components = message.get("components")
    if not isinstance(components, list) or not all(isinstance(item, dict) for item in components):
        raise ProtocolError(BAD_MANIFEST, "components")
    if len(components) != 1:
        raise ProtocolError(UNSUPPORTED_COMPONENT, "components")
    found = components[0]
    offset = integer(found, "offset", 0, limits.IMAGE_MAX, BAD_MANIFEST)
    if name(found, "kind", BAD_MANIFEST) != APP or offset:
        raise ProtocolError(UNSUPPORTED_COMPONENT, "components")
    return {
        "kind": APP,
        "offset": offset,
        "size": integer(found, "size", 1, limits.IMAGE_MAX, BAD_MANIFEST),
        "sha256": hexadecimal(found, "sha256", 64, BAD_MANIFEST),
        "app_elf_sha256": hexadecimal(found, "app_elf_sha256", 64, BAD_MANIFEST),
        "chip": name(found, "chip", BAD_MANIFEST),
    }
