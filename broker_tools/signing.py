"""Decides under which manifest an image goes out: one signed earlier, or a new one. Rules over the ledger.

Publishing the same bytes again, of the same project and version, with the same key and under the same terms, reuses
the newest such manifest: the device can tell that it is the same release, and going back to an older
image is an offer of its older manifest. Other terms (confirm deadline, hardware, expiry, floor) or `again` sign anew.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from agent.protocol import limits
from broker_tools.image import AppImage
from broker_tools.release import Release, Signer, Terms, make, open_release
from broker_tools.store import releases
from broker_tools.store.releases import Entry, Past

PREVIOUS, SELF, GIVEN = "previous", "self", "given"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks of a release.

    floor -- None: the previous release of another image; "self": its own sequence; or a sequence
    confirm_s -- seconds that a device has to prove the new image
    hardware -- hardware revisions that may take it; none named: any
    again -- sign a new manifest even when one of these very terms exists
    """

    project: str
    version: str
    floor: str | int | None = None
    confirm_s: int = limits.CONFIRM_S
    hardware: Sequence[str] = ()
    expires: int = 0
    again: bool = False

    @property
    def floor_rule(self) -> str:
        """How the floor is chosen, as the ledger keeps it."""
        return PREVIOUS if self.floor is None else SELF if self.floor == SELF else GIVEN


def sign(
    store: Engine, image: AppImage, signer: Signer, wish: Wish, now: Callable[[], float] = time.time
) -> tuple[Release, bool]:
    """Return the release to publish and whether it was signed anew.

    A new one gets the time of signing as its sequence, and always more than the project's last one in the ledger.
    Raises OtafleetError when a value is out of the protocol's bounds or the store refuses.
    """

    def choose(past: Past) -> Entry:
        if not wish.again:
            for entry in past.signed:
                if _serves(entry, image, signer, wish):
                    return entry
        issued = int(now())
        sequence = max(issued, past.last + 1)
        floor = {PREVIOUS: past.previous, SELF: sequence, GIVEN: wish.floor}[wish.floor_rule]
        terms = Terms(sequence, int(floor or 0), issued, wish.confirm_s, tuple(wish.hardware), wish.expires)
        made = make(image, signer, wish.project, wish.version, terms)
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
        )

    entry, is_new = releases.record(store, wish.project, image.sha256, choose)
    return open_release(entry.manifest, image.data), is_new


def _serves(entry: Entry, image: AppImage, signer: Signer, wish: Wish) -> bool:
    """Whether a manifest signed earlier says all that is wished for."""
    if (entry.version, entry.kid, entry.floor_rule) != (wish.version, signer.kid, wish.floor_rule):
        return False
    if wish.floor_rule == GIVEN and entry.floor != wish.floor:
        return False
    payload = open_release(entry.manifest, image.data).payload
    terms = (wish.confirm_s, list(wish.hardware), wish.expires)
    return (payload["confirm_s"], payload["hardware"], payload["expires"]) == terms
