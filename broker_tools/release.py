"""A release: one image in one form on the wire, under one signed manifest."""

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

from agent.protocol import limits, manifest
from agent.protocol.errors import ProtocolError
from agent.protocol.host import signing
from broker_tools import content, exits
from broker_tools.content import Content
from broker_tools.errors import OtafleetError
from broker_tools.image import AppImage


class Signer(Protocol):
    """Whatever can sign a manifest: `kid` names the key, `sign` returns a 64-byte ES256 signature r || s."""

    @property
    def kid(self) -> str:
        """The key's name in a manifest, 16 hex digits."""

    def sign(self, data: bytes) -> bytes:
        """Return 64 bytes."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the signer promises and demands beyond the image itself.

    sequence -- order of releases; a device refuses what is below its floor (Unix time of signing by habit)
    floor -- what the device's floor becomes once this image is confirmed there
    issued, expires -- Unix seconds; expires 0 means never
    confirm_s -- seconds that a device has to prove the new image
    hardware -- hardware revisions that may take it; none named: any
    """

    sequence: int
    floor: int
    issued: int
    confirm_s: int = limits.CONFIRM_S
    hardware: tuple[str, ...] = ()
    expires: int = 0


@dataclass(frozen=True, slots=True)
class Release:
    """A signed manifest with the bytes it speaks of."""

    manifest: str
    payload: dict[str, Any]
    form: Content

    @property
    def kid(self) -> str:
        """Which key signed it."""
        return str(manifest.split(self.manifest)[0])

    @property
    def project(self) -> str:
        """What the image is for."""
        return str(self.payload["project"])

    @property
    def version(self) -> str:
        """What people call this release."""
        return str(self.payload["version"])

    @property
    def content(self) -> str:
        """Name of these bytes on the wire, 16 hex digits."""
        return str(self.payload["content"])

    @property
    def sequence(self) -> int:
        """Place in the order of the project's releases."""
        return int(self.payload["sequence"])

    @property
    def sha256(self) -> str:
        """Digest of the image, 64 hex digits."""
        return str(self.payload["component"]["sha256"])

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return len(self.form.payloads)


def make(image: AppImage, form: Content, signer: Signer, project: str, version: str, terms: Terms) -> Release:
    """Sign a manifest for `image`, to be delivered as `form`, and return the release.

    Raises OtafleetError (usage) when a value is out of the protocol's bounds, naming the field.
    """
    payload = signing.encode_payload(
        {
            "v": limits.VERSION,
            "project": project,
            "version": version,
            "sequence": terms.sequence,
            "floor": terms.floor,
            "issued": terms.issued,
            "expires": terms.expires,
            "confirm_s": terms.confirm_s,
            "chunk": limits.CHUNK,
            "content": form.name,
            "encoding": form.encoding,
            "index": [hashlib.sha256(page).hexdigest() for page in form.pages],
            "components": [
                {
                    "kind": manifest.APP,
                    "offset": 0,
                    "size": len(image.data),
                    "sha256": image.sha256,
                    "app_elf_sha256": image.elf_sha256,
                    "chip": image.chip,
                }
            ],
            "hardware": list(terms.hardware),
        }
    )
    try:
        # Whatever a device would refuse is refused here, by the same rules, before it is signed.
        checked = manifest.decode(payload)
    except ProtocolError as error:
        raise OtafleetError(f"cannot sign this: {error.detail} is out of bounds", exits.USAGE) from None
    signing_input = signing.signing_input(signing.jws_header(signer.kid), payload)
    return Release(signing.compact(signing_input, signer.sign(signing_input)), checked, form)


def read_manifest(jws: str) -> dict[str, Any]:
    """Return the payload of a manifest signed earlier. Raises OtafleetError when it is malformed."""
    try:
        payload: dict[str, Any] = manifest.decode(manifest.split(jws)[3])
    except ProtocolError as error:
        raise OtafleetError(f"bad manifest: {error.detail}") from None
    return payload


def open_release(jws: str, data: bytes, kept: bytes | None) -> Release:
    """Return the release of a manifest signed earlier, over the image it was signed for.

    `kept` is what `content.keep` returned when it was signed. Raises OtafleetError when the manifest is malformed, or
    speaks of another image or of other payloads.
    """
    payload = read_manifest(jws)
    if payload["component"]["sha256"] != hashlib.sha256(data).hexdigest():
        raise OtafleetError("the manifest was signed for another image")
    form = content.restore(data, kept)
    same = (form.encoding, form.name) == (payload["encoding"], payload["content"])
    if not same or content.keep(form) != kept:
        message = "the ledger does not hold the payloads that the manifest was signed for; use --sign-again"
        raise OtafleetError(message)
    return Release(jws, payload, form)
