"""Running agent/web.py on a real MicroPython, and what has to come of it."""

import datetime as dt
import hashlib
import json
import random
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trustme

from tests.support.micropython import micropython_output
from tests.support.paths import ROOT

CHUNK = 4096
IMAGE = random.Random(8).randbytes(24 * CHUNK + 17)
CHUNKS = [IMAGE[at : at + CHUNK] for at in range(0, len(IMAGE), CHUNK)]
INDEX = b"".join(hashlib.sha256(chunk).digest()[:8] for chunk in CHUNKS)
FILES = {"/app.bin": IMAGE, "/app.bin.index": INDEX}
Asks = Sequence[Sequence[Sequence[int]]]
"""Chunks and index pages of one request after the other."""
ALL: Asks = [[[], [0]], [[0, 1], []], [[2, 3, 4, 5], []], [[*range(6, 14)], []], [[*range(14, 25)], []]]
TWO: Asks = [[[3, 4], []]]
_FETCH = ROOT / "tests" / "agent" / "on_device" / "fetch.py"


def fetch(
    url: str, *, asks: Asks = TWO, size: int | None = None, cafile: Path | None = None, **plan: int
) -> dict[str, Any]:
    """Run the client of on_device/fetch.py, which says what the rest of the plan means, and return what it tells."""
    size = len(IMAGE) if size is None else size
    output = micropython_output(_FETCH, url, str(size), cafile or "", json.dumps({"asks": asks, **plan}))
    told: dict[str, Any] = json.loads(output)
    return told


def right(asks: Asks) -> list[list[str]]:
    """Return what has to come for these asks, in this order: addresses and digests."""
    parts: list[tuple[str, bytes]] = []
    for chunks, pages in asks:
        parts += [(f"index/{page}", INDEX[page * CHUNK : (page + 1) * CHUNK]) for page in pages]
        parts += [(str(chunk * CHUNK), CHUNKS[chunk]) for chunk in chunks]
    return [[address, hashlib.sha256(data).hexdigest()] for address, data in parts]


def tls(
    authority: trustme.CA,
    name: str = "localhost",
    not_before: dt.datetime | None = None,
    not_after: dt.datetime | None = None,
) -> ssl.SSLContext:
    """Return what a server needs to speak TLS, with a certificate for `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_before=not_before, not_after=not_after).configure_cert(context)
    return context
