"""The ledger of signed releases."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Row, func, insert, select

from broker_tools.store.database import guard
from broker_tools.store.schema import releases


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger.

    floor_rule -- how its floor was chosen: previous, self or given
    payloads -- what `content.keep` returned: the deflated payloads that were signed, None for a raw content
    """

    project: str
    version: str
    sequence: int
    floor: int
    floor_rule: str
    sha256: str
    size: int
    kid: str
    manifest: str
    payloads: bytes | None


@dataclass(frozen=True, slots=True)
class Past:
    """What the ledger knows when a release is signed.

    last -- greatest sequence of the project, 0 when there is none
    previous -- sequence of the newest release of the project with another image, 0 when there is none
    signed -- releases of these very bytes in the project, newest first
    """

    last: int
    previous: int
    signed: tuple[Entry, ...]


def record(engine: Engine, project: str, sha256: str, choose: Callable[[Past], Entry]) -> tuple[Entry, bool]:
    """Let `choose` reuse or sign a release, knowing the past; keep it if it is new, and say whether it was.

    All in one transaction, so two signers at once never give one sequence to two releases.
    Raises OtafleetError when the store refuses.
    """
    with guard(engine), engine.begin() as connection:
        of_project = releases.c.project == project
        last = connection.scalar(select(func.max(releases.c.sequence)).where(of_project))
        previous = connection.scalar(
            select(func.max(releases.c.sequence)).where(of_project, releases.c.sha256 != sha256)
        )
        past = Past(last or 0, previous or 0, _same(connection, project, sha256))
        entry = choose(past)
        is_new = entry not in past.signed
        if is_new:
            values = {field: getattr(entry, field) for field in Entry.__slots__}
            connection.execute(insert(releases).values(signed=int(time.time()), **values))
        return entry, is_new


def of_image(engine: Engine, project: str, sha256: str) -> tuple[Entry, ...]:
    """Return the releases of an image in a project, newest first. Raises OtafleetError when the store refuses."""
    with guard(engine), engine.begin() as connection:
        return _same(connection, project, sha256)


def manifests(engine: Engine) -> list[str]:
    """Return every manifest in the ledger, newest first. Raises OtafleetError when the store refuses."""
    with guard(engine), engine.begin() as connection:
        query = select(releases.c.manifest).order_by(releases.c.sequence.desc())
        return [str(jws) for jws in connection.scalars(query)]


def _same(connection: Connection, project: str, sha256: str) -> tuple[Entry, ...]:
    same = select(releases).where(releases.c.project == project, releases.c.sha256 == sha256)
    return tuple(_entry(row) for row in connection.execute(same.order_by(releases.c.sequence.desc())))


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    return Entry(**{field: getattr(row, field) for field in Entry.__slots__})
