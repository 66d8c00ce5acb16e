"""One run: a copy of a twin, an update offered to it, the power going at chosen operations, and what was found then."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from agent.protocol import phases
from agent.protocol.errors import ProtocolError
from agent.protocol.host import reports
from broker_tools import provision, twins
from broker_tools.broker_url import BrokerUrl
from broker_tools.client import Client
from broker_tools.connection import Message
from broker_tools.errors import OtafleetError, os_reason
from broker_tools.outcome import Outcome
from broker_tools.powercut.device import Step, Watched
from broker_tools.powercut.promises import OLD, UNDEFINED, Facts, boots_max, ended
from broker_tools.publishing import Publication, Timing
from broker_tools.release import Release
from firmware.twin.errors import TwinError
from firmware.twin.flash import PowerCut

PREFIX = "fleet"
SLOTS = ("ota_0", "ota_1")
CONFIRM_S = 15
"""Confirm deadline of the images, in seconds."""
START_S = 30
"""Seconds that a device has to report for the first time."""
SILENCE_S = 30
"""Seconds of silence after which it is lost; more than `CONFIRM_S`, so that a roll-back is waited for."""


@dataclass(frozen=True, slots=True)
class Update:
    """One good update.

    name -- what the device is before it
    before -- folder with the twin as it was then
    first -- number of its first operation, counted over all good updates
    steps -- its operations
    old, new -- the image that runs before, and the one that is offered
    """

    name: str
    before: Path
    first: int
    steps: Sequence[Step]
    old: bytes
    new: bytes
    release: Release


@dataclass(frozen=True, slots=True)
class Run:
    """What was found: all operations, those in which the power went (`torn`), and the facts to judge."""

    steps: Sequence[Step]
    torn: Sequence[Step]
    facts: Facts


def replay(
    update: Update,
    folder: Path,
    broker: BrokerUrl,
    store: Engine,
    *,
    cuts: Sequence[PowerCut],
    stop: Callable[[], bool],
    log: Callable[[str], None] | None,
) -> Run:
    """Run `update` on a copy of its twin, made in `folder`, under that folder's name as device id.

    A device that ends on the old image is switched on once more, and offered the new one again.

    :param cuts: where the power goes; the second counts from the first one on
    :param log: called with each line of the twin's console
    :raises OtafleetError: when the disk or the broker refuses
    """
    try:
        _copy(update.before, folder)
        watched = Watched(folder, cuts, log)
    except (OSError, TwinError) as error:
        why = os_reason(error) if isinstance(error, OSError) else str(error)
        raise OtafleetError(f"cannot make a twin in {folder}: {why}") from None
    limit = boots_max(len(cuts))
    client = _Tap(broker)
    client.open()

    def publish() -> tuple[Outcome | None, str]:
        return _publish(
            client,
            store,
            folder.name,
            update.release,
            lambda: stop() or watched.ended or len(watched.twin.boots) > limit,
        )

    try:
        with watched:
            outcome, silent = publish()
            watched.stop()
            facts = _facts(update, watched, len(cuts), outcome, silent, client)
            run = Run(list(watched.steps), watched.torn, facts)
            if ended(facts) == OLD and not stop():
                watched.start()
                outcome, silent = publish()
                if outcome is None or outcome.result != phases.CONFIRMED:
                    why = outcome.message if outcome else silent
                    run = replace(run, facts=replace(facts, refused=why))
    finally:
        client.close()
    return run


class _Tap(Client):
    """A client that counts the chunks that it sends, and keeps the states that come."""

    def __init__(self, broker: BrokerUrl) -> None:
        super().__init__(broker)
        self.chunks = 0
        self.states: list[dict[str, Any]] = []

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> bool:
        self.chunks += "/chunk/" in topic and "/index/" not in topic
        return super().publish(topic, payload, qos=qos, retain=retain)

    def pump(self, timeout: float) -> list[Message]:
        messages = super().pump(timeout)
        for message in messages:
            if message.topic.endswith("/state"):
                try:
                    self.states.append(reports.decode_state(message.payload))
                except ProtocolError:
                    continue  # the publication says so, and waits for one that can be read
        return messages


def _copy(before: Path, folder: Path) -> None:
    shutil.copytree(before, folder, symlinks=True)
    fields = {**twins.read_config(folder), "id": folder.name}
    (folder / "vfs" / provision.CONFIG).write_bytes(provision.encode(fields))


def _publish(
    client: Client, store: Engine, device: str, release: Release, stop: Callable[[], bool]
) -> tuple[Outcome | None, str]:
    """How the update ended, or None and why there was none."""
    # Nothing is left to settle with a device that has been given up.
    timing = Timing(discover=START_S, settle=0)
    with Publication(client, store, PREFIX, device, stop=stop, timing=timing) as publication:
        try:
            publication.discover()
            publication.offer(release)
        except OtafleetError as error:
            return None, error.message
        return publication.follow(SILENCE_S), ""


def _facts(
    update: Update, watched: Watched, cuts: int, outcome: Outcome | None, silent: str, client: _Tap
) -> Facts:
    failure = watched.failure
    next_boot = None
    if not failure:
        try:
            boot = watched.twin.next_boot()
            next_boot = boot.slot, boot.state or UNDEFINED
        except TwinError as error:
            failure = str(error)
    erased = Counter(step.sector for step in watched.steps if step.place in SLOTS and step.operation.is_erase)
    torn = Counter(step.sector for step in watched.torn if step.place in SLOTS)
    return Facts(
        cuts=cuts,
        boots=len(watched.twin.boots),
        failure=failure,
        silent=silent,
        outcome=outcome,
        states=client.states,
        next_boot=next_boot,
        slots={label: watched.slot(label) for label in SLOTS},
        old=update.old,
        new=update.new,
        chunks=update.release.chunks,
        sent=client.chunks,
        erases={sector: (erased[sector], torn[sector]) for sector in erased},
    )
