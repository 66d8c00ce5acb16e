"""What the ledger of signed releases knows of contents."""

from typing import Any

from sqlalchemy import Engine

from broker_tools import content
from broker_tools.content import AUTO, Content
from broker_tools.image import AppImage
from broker_tools.release import open_release, read_manifest
from broker_tools.store import releases


def contents(store: Engine) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the newest manifest payload of every (project, content) that was signed here.

    Raises OtafleetError when the store refuses.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for jws in releases.manifests(store):
        payload = read_manifest(jws)
        found.setdefault((payload["project"], payload["content"]), payload)
    return found


def form(store: Engine, project: str, image: AppImage, encoding: str) -> Content:
    """Return the content that a publication of `image` would send: the one signed last, else a new one.

    Raises OtafleetError when the store refuses.
    """
    for entry in releases.of_image(store, project, image.sha256):
        signed = open_release(entry.manifest, image.data, entry.payloads).form
        if encoding in (AUTO, signed.encoding):
            return signed
    return content.encode(image.data, encoding)
