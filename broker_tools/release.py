"""A release: one image, cut into chunks and index pages, under one signed manifest."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.protocol import index, limits, manifest
from agent.protocol.errors import ProtocolError
from agent.protocol.host import signing
from broker_tools import exits
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
    data: bytes
    pages: tuple[bytes, ...]

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
        return index.chunks(len(self.data))

    def chunk(self, number: int) -> bytes:
        """Payload of chunk `number`: 4096 bytes, the last one may be shorter."""
        return self.data[number * limits.CHUNK : (number + 1) * limits.CHUNK]


def make(image: AppImage, signer: Signer, project: str, version: str, terms: Terms) -> Release:
    """Sign a manifest for `image` and return the release.

    Raises OtafleetError (usage) when a value is out of the protocol's bounds, naming the field.
    """
    chunks = tuple(_chunks(image.data))
    pages = tuple(_pages(chunks))
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
            "content": signing.content_name(manifest.RAW, chunks),
            "encoding": manifest.RAW,
            "index": [hashlib.sha256(page).hexdigest() for page in pages],
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
        manifest.decode(payload)
    except ProtocolError as error:
        raise OtafleetError(f"cannot sign this: {error.detail} is out of bounds", exits.USAGE) from None
    signing_input = signing.signing_input(signing.jws_header(signer.kid), payload)
    return open_release(signing.compact(signing_input, signer.sign(signing_input)), image.data)


def open_release(jws: str, data: bytes) -> Release:
    """Return the release of a manifest signed earlier, over the image it was signed for.

    Raises OtafleetError when the manifest is malformed or speaks of another image.
    """
    try:
        payload = manifest.decode(manifest.split(jws)[3])
    except ProtocolError as error:
        raise OtafleetError(f"bad manifest: {error.detail}") from None
    if payload["component"]["sha256"] != hashlib.sha256(data).hexdigest():
        raise OtafleetError("the manifest was signed for another image")
    return Release(jws, payload, data, tuple(_pages(tuple(_chunks(data)))))


def _chunks(data: bytes) -> Iterator[bytes]:
    for offset in range(0, len(data), limits.CHUNK):
        yield data[offset : offset + limits.CHUNK]


def _pages(chunks: Sequence[bytes]) -> Iterator[bytes]:
    for first in range(0, len(chunks), limits.INDEX_PAGE):
        yield b"".join(index.entry(chunk) for chunk in chunks[first : first + limits.INDEX_PAGE])
