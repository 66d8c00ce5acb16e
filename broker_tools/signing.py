"""Decides under which manifest an image goes out: one signed earlier, or a new one. Rules over the ledger.

Publishing the same bytes again, of the same project and version, with the same key and under the same terms, reuses
the newest such manifest: the device can tell that it is the same release, and going back to an older
image is an offer of its older manifest. Other terms (confirm deadline, hardware, expiry, floor), another encoding than
the signed one or `again` sign anew.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from agent.protocol import limits
from broker_tools import content
from broker_tools.content import AUTO
from broker_tools.events import Event, Listener, nobody
from broker_tools.image import AppImage
from broker_tools.release import Release, Signer, Terms, make, open_release, read_manifest
from broker_tools.store import releases
from broker_tools.store.releases import Entry, Past

PREVIOUS, SELF, GIVEN = "previous", "self", "given"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks of a release.

    floor -- None: the previous release of another image; "self": its own sequence; or a sequence
    confirm_s -- seconds that a device has to prove the new image
    hardware -- hardware revisions that may take it; none named: any
    encoding -- "raw" or "deflate"; "auto": the one signed earlier, else deflate where it pays
    again -- sign a new manifest even when one of these very terms exists
    """

    project: str
    version: str
    floor: str | int | None = None
    confirm_s: int = limits.CONFIRM_S
    hardware: Sequence[str] = ()
    expires: int = 0
    encoding: str = AUTO
    again: bool = False

    @property
    def floor_rule(self) -> str:
        """How the floor is chosen, as the ledger keeps it."""
        return PREVIOUS if self.floor is None else SELF if self.floor == SELF else GIVEN


def sign(
    store: Engine,
    image: AppImage,
    signer: Signer,
    wish: Wish,
    now: Callable[[], float] = time.time,
    tell: Listener = nobody,
) -> tuple[Release, bool]:
    """Return the release to publish and whether it was signed anew.

    A new one gets the time of signing as its sequence, and always more than the project's last one in the ledger.
    Raises OtafleetError when a value is out of the protocol's bounds or the store refuses.
    """
    otherwise: set[str] = set()

    def choose(past: Past) -> Entry:
        if not wish.again:
            for entry in past.signed:
                encoding = _serves(entry, signer, wish)
                if encoding and wish.encoding in (AUTO, encoding):
                    return entry
                otherwise.add(encoding)
        issued = int(now())
        sequence = max(issued, past.last + 1)
        floor = {PREVIOUS: past.previous, SELF: sequence, GIVEN: wish.floor}[wish.floor_rule]
        terms = Terms(sequence, int(floor or 0), issued, wish.confirm_s, tuple(wish.hardware), wish.expires)
        form = content.encode(image.data, wish.encoding)
        made = make(image, form, signer, wish.project, wish.version, terms)
        return Entry(
            project=wish.project,
            version=wish.version,
            sequence=sequence,
            floor=terms.floor,
            floor_rule=wish.floor_rule,
            sha256=made.sha256,
            size=len(image.data),
            kid=signer.kid,
            manifest=made.manifest,
            payloads=content.keep(form),
        )

    entry, is_new = releases.record(store, wish.project, image.sha256, choose)
    release = open_release(entry.manifest, image.data, entry.payloads)
    earlier = otherwise - {"", release.form.encoding}
    if is_new and earlier:
        text = f"signed earlier as {', '.join(earlier)}; {release.form.encoding} takes a new signature"
        tell(Event("note", text, {"note": text}))
    return release, is_new


def _serves(entry: Entry, signer: Signer, wish: Wish) -> str:
    """Return the encoding of a manifest signed earlier if it says all else that is wished for, else ""."""
    if (entry.version, entry.kid, entry.floor_rule) != (wish.version, signer.kid, wish.floor_rule):
        return ""
    if wish.floor_rule == GIVEN and entry.floor != wish.floor:
        return ""
    payload = read_manifest(entry.manifest)
    terms = (wish.confirm_s, list(wish.hardware), wish.expires)
    same = (payload["confirm_s"], payload["hardware"], payload["expires"]) == terms
    return str(payload["encoding"]) if same else ""
