"""Content: an image in its form on the wire, cut into chunks and index pages (docs/protocol.md, section 7).

The signer names a content after its very payloads. Two builds of zlib may deflate one chunk to different bytes, so the
payloads of a deflated content are kept with its release and never made again.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent.protocol import index, limits
from agent.protocol.host.signing import content_name
from agent.protocol.manifest import DEFLATE, RAW

AUTO: Final = "auto"
"""Deflate where it pays, else raw."""
ENCODINGS: Final = (AUTO, RAW, DEFLATE)
WORTH_PERCENT: Final = 10
"""`auto` deflates when the payloads together get smaller by this much. Every chunk costs the device the same erase and
programming of its sector (about 50 ms), whatever came over the air; inflating it takes some milliseconds and 5.5 KB of
heap on top. A tenth of a chunk less on the wire saves about as many milliseconds at 1 Mbit/s, so below it there is
nothing to win. MicroPython's own images get 31 % smaller, images full of compressed data nothing."""
_WINDOW_BITS: Final = -12
"""Raw deflate with a window of 4096 bytes, which is all that a device has to hold."""
_LEVEL: Final = 9
_LENGTH: Final = 2


@dataclass(frozen=True, slots=True)
class Content:
    """The payloads of all chunks and index pages, in order.

    encoding -- "raw" or "deflate"
    name -- 16 hex digits, from the encoding and the payloads
    """

    encoding: str
    payloads: tuple[bytes, ...]
    pages: tuple[bytes, ...]
    name: str

    @property
    def size(self) -> int:
        """Bytes of all chunk payloads together."""
        return sum(map(len, self.payloads))


def encode(data: bytes, encoding: str) -> Content:
    """Return the image `data` as a content; `encoding` is one of ENCODINGS."""
    chunks = cut(data)
    if encoding == RAW:
        return _content(RAW, chunks, chunks)
    payloads = tuple(map(deflate, chunks))
    if encoding == AUTO and not _pays(sum(map(len, payloads)), len(data)):
        return _content(RAW, chunks, chunks)
    return _content(DEFLATE, payloads, chunks)


def cut(data: bytes) -> tuple[bytes, ...]:
    """Return the chunks of `data`: 4096 bytes each, the last one may be shorter."""
    return tuple(data[offset : offset + limits.CHUNK] for offset in range(0, len(data), limits.CHUNK))


def deflate(chunk: bytes) -> bytes:
    """Return the payload of a chunk under encoding "deflate": the chunk itself where deflating does not shorten it."""
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS)
    payload = deflater.compress(chunk) + deflater.flush()
    return payload if len(payload) < len(chunk) else chunk


def inflate(payload: bytes) -> bytes | None:
    """Return what a deflated payload holds, None when it is no deflate of at most one chunk."""
    inflater = zlib.decompressobj(_WINDOW_BITS)
    try:
        chunk = inflater.decompress(payload, limits.CHUNK)
    except zlib.error:
        return None
    return chunk if inflater.eof and not inflater.unused_data else None


def keep(content: Content) -> bytes | None:
    """Return what must be kept to make the content again from its image: the payloads, None when it is raw."""
    if content.encoding == RAW:
        return None
    return b"".join(len(payload).to_bytes(_LENGTH) + payload for payload in content.payloads)


def restore(data: bytes, kept: bytes | None) -> Content:
    """Return the content of the image `data` from what `keep` returned. Whoever asks compares the name."""
    if kept is None:
        return encode(data, RAW)
    payloads = []
    while kept:
        end = _LENGTH + int.from_bytes(kept[:_LENGTH])
        payloads.append(kept[_LENGTH:end])
        kept = kept[end:]
    return _content(DEFLATE, tuple(payloads), cut(data))


def _pays(deflated: int, size: int) -> bool:
    return 100 * deflated <= (100 - WORTH_PERCENT) * size


def _content(encoding: str, payloads: tuple[bytes, ...], chunks: Sequence[bytes]) -> Content:
    pages = tuple(
        b"".join(index.entry(chunk) for chunk in chunks[first : first + limits.INDEX_PAGE])
        for first in range(0, len(chunks), limits.INDEX_PAGE)
    )
    return Content(encoding, payloads, pages, content_name(encoding, payloads))
