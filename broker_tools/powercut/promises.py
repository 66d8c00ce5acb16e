"""What a device that lost its power must have kept, judged from what is in its flash and what it said. No I/O.

Every run ends on the new image, VALID and confirmed, or on the old one with the reason reported; then the new one is
taken when it is offered again. What the device says of its slots is what they hold. A cut costs one window of chunks
at most, and one erase of the sector that it tore.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.esp32_ota import image as rules
from agent.protocol import limits, phases
from broker_tools.image import reader
from broker_tools.outcome import VALID, Outcome, running_slot

GOOD_BOOTS = 2
"""Boots of an update without a cut: the old image and the new one."""
BOOTS_PER_CUT = 2
"""Boots that one cut may cost: the one after it, and the one back where it fell into the only trial of an image."""
UNDEFINED = "UNDEFINED"
GIVEN_UP = (phases.ROLLED_BACK, phases.FAILED, phases.REJECTED)
NEW, OLD, LOST = "new", "old", "lost"


@dataclass(frozen=True, slots=True)
class Facts:
    """One run, from power-on until the update had ended.

    failure -- why the twin ended by itself; "" when it did not
    silent -- why there is no outcome; "" when there is one
    states -- every state that the device reported
    next_boot -- slot that the next power-on starts, and its state in otadata (UNDEFINED without a record); None when
        nothing boots
    slots -- what each slot holds, whole
    chunks, sent -- chunks of the image, and how many were sent
    refused -- why a device that ended on the old image did not take the new one when it was offered again; "" if it did
    erases -- of each sector of the image's slot: how often it was erased, and how often a cut tore it
    """

    cuts: int
    boots: int
    failure: str
    silent: str
    outcome: Outcome | None
    states: Sequence[Mapping[str, Any]]
    next_boot: tuple[str, str] | None
    slots: Mapping[str, bytes]
    old: bytes
    new: bytes
    chunks: int
    sent: int
    erases: Mapping[int, tuple[int, int]]
    refused: str = ""

    @property
    def extra_chunks(self) -> int:
        """Chunks that were sent more than once."""
        return max(0, self.sent - self.chunks)

    @property
    def extra_erases(self) -> int:
        """Erases beyond the first one of each sector."""
        return sum(max(0, erased - 1) for erased, _ in self.erases.values())


def boots_max(cuts: int) -> int:
    """Boots above which a device that lost its power so often is in a loop."""
    return GOOD_BOOTS + BOOTS_PER_CUT * cuts


def ended(facts: Facts) -> str:
    """Return NEW, OLD or LOST: which image the device ended on; LOST when a promise is broken."""
    if any(broken(facts)):
        return LOST
    return NEW if facts.outcome and facts.outcome.result == phases.CONFIRMED else OLD


def broken(facts: Facts) -> Iterator[str]:
    """Yield each broken promise as a line for a person."""
    if facts.failure:
        yield facts.failure
    elif facts.boots > boots_max(facts.cuts):
        yield f"it boots again and again ({facts.boots} times)"
    elif facts.next_boot is None:
        yield "nothing boots at the next power-on"
    elif facts.outcome is None:
        yield f"it never reported an end: {facts.silent}"
    else:
        if facts.refused:
            yield f"it did not take the image when it was offered again: {facts.refused}"
        yield from _end(facts, facts.outcome, facts.next_boot)


def _end(facts: Facts, outcome: Outcome, next_boot: tuple[str, str]) -> Iterator[str]:
    state = outcome.state
    if state is None or (outcome.result != phases.CONFIRMED and outcome.result not in GIVEN_UP):
        yield f"the update ended as {outcome.result}: {outcome.message}"
        return
    confirmed = outcome.result == phases.CONFIRMED
    if not confirmed and not outcome.reason:
        yield f"the update ended as {outcome.result} without a reason"
    # Of a confirmed one `outcome` has seen to it that the state says VALID, and the new image's digest.
    wanted = facts.new if confirmed else facts.old
    running = running_slot(state)
    if running is None or running["sha256"] != _digest(wanted):
        yield f"it says that {state['running']} holds {running and running['sha256'][:16]}, not the image that it must"
    if facts.slots[state["running"]][: len(wanted)] != wanted:
        yield f"{state['running']} does not hold the image that the device says it runs"
    # A device whose only record was torn runs its old image without one.
    kept = (VALID,) if confirmed else (VALID, UNDEFINED)
    if next_boot[0] != state["running"] or next_boot[1] not in kept:
        yield f"it ends on {state['running']}, but the next power-on starts {' '.join(next_boot)}"
    elif running is not None and running["app_state"] != next_boot[1]:
        yield f"it says that {state['running']} is {running['app_state']}, which is {next_boot[1]}"
    yield from _claims(facts, state)


def _claims(facts: Facts, state: Mapping[str, Any]) -> Iterator[str]:
    """Whether what the device says of its slots is what they hold, and whether it ever thought to run another image."""
    for slot in state["slots"]:
        if slot["sha256"] and slot["sha256"] != _held(facts.slots[slot["slot"]]):
            yield f"it says that {slot['slot']} holds {slot['sha256'][:16]}, which is not there"
    known = ("", _digest(facts.old), _digest(facts.new))
    for said in facts.states:
        running = running_slot(said)
        if running is not None and running["sha256"] not in known:
            yield f"it said that it runs {running['sha256'][:16]}, which is neither image"


def exceeded(facts: Facts) -> Iterator[str]:
    """Yield each cost of the cuts that is above what was promised, as a line for a person. The device is not lost."""
    allowed = limits.WINDOW_MAX * facts.cuts
    if facts.extra_chunks > allowed:
        yield f"{facts.extra_chunks} chunks were fetched again, more than {allowed}"
    for sector, (erased, torn) in facts.erases.items():
        if erased > 1 + torn:
            yield f"sector {sector} of the slot was erased {erased} times, torn {torn} times"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _held(slot: bytes) -> str:
    """Digest of the image that the slot begins with, by the image's own length; "" when it begins with none."""
    try:
        return _digest(slot[: rules.length(reader(slot))])
    except rules.ImageError:
        return ""
