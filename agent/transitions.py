"""The update's state machine, as a table.

Theory of operation
-------------------
An update is one offer (numbered n) on its way through the phases of protocol/phases.py. The agent's work raises
events; TRANSITIONS says which phase an event leads to. What is not in the table cannot happen: `after()` raises, and
nothing changes. Each transition is stored in the journal before anything is done about it, so that a power cut finds
the device in the phase it was in, and is told to the host as one ack.

- OFFERED: an offer is being examined (signature, rules, what the slots hold), or waits for its grant (start "ask"),
  or, after a reset, waits for the broker to deliver it again.
- DOWNLOADING ⇄ STALLED: chunks are asked for and written; nobody answers.
- VERIFYING: the slot is read back against the signed digest. One repair is allowed, then FAILED.
- ACTIVATING: the manifest is in the journal, set_boot is about to be called. From here to the end of TESTING the
  update is committed: other offers and withdrawals wait, because the boot loader may already have switched.
- REBOOTING: set_boot has returned.
- TESTING: the new image runs and has to prove itself; a reset from here boots the old image (ROLLED_BACK).
- CONFIRMED, REJECTED, FAILED, ROLLED_BACK, CANCELLED: the ends, which only another offer leaves.
"""

from .protocol.phases import (
    ACTIVATING,
    CANCELLED,
    CONFIRMED,
    DEFERRED,
    DOWNLOADING,
    FAILED,
    IDLE,
    OFFERED,
    REBOOTING,
    REJECTED,
    ROLLED_BACK,
    STALLED,
    TESTING,
    VERIFYING,
)

OFFER = "offer"  # a new offer has come
RESET = "reset"  # the chip was reset while an uncommitted offer was being worked on
REFUSE = "refuse"  # a rule forbids the offer
DEFER = "defer"  # the app asked for time
HELD = "held"  # the running slot is this image, and VALID
ACCEPT = "accept"  # granted
SILENCE = "silence"  # nobody answers
ANSWER = "answer"  # somebody does again
COMPLETE = "complete"  # every chunk agrees with the index
REPAIR = "repair"  # the slot does not agree with the signed digest: look for the chunk, once
MATCH = "match"  # the slot agrees
BOOT_SET = "boot_set"
NEW_BOOTED = "new_booted"
OLD_BOOTED = "old_booted"
PASS = "pass"  # noqa: S105 (a trial, not a password)
FAIL = "fail"
WITHDRAW = "withdraw"

_OPEN = {OFFER: OFFERED, WITHDRAW: CANCELLED, RESET: OFFERED}
_ENDED = {OFFER: OFFERED, WITHDRAW: CANCELLED, REFUSE: REJECTED}


def _with(base, more):
    row = dict(base)
    row.update(more)
    return row


TRANSITIONS = {
    IDLE: _ENDED,
    OFFERED: _with(
        _OPEN, {REFUSE: REJECTED, DEFER: DEFERRED, HELD: CONFIRMED, ACCEPT: DOWNLOADING, FAIL: FAILED}
    ),
    DEFERRED: _with(_OPEN, {ACCEPT: DOWNLOADING, FAIL: FAILED}),
    DOWNLOADING: _with(_OPEN, {SILENCE: STALLED, COMPLETE: VERIFYING, FAIL: FAILED}),
    STALLED: _with(_OPEN, {ANSWER: DOWNLOADING, FAIL: FAILED}),
    VERIFYING: _with(_OPEN, {REPAIR: DOWNLOADING, MATCH: ACTIVATING, FAIL: FAILED}),
    ACTIVATING: {
        BOOT_SET: REBOOTING,
        FAIL: FAILED,
        RESET: OFFERED,
        NEW_BOOTED: TESTING,
        OLD_BOOTED: ROLLED_BACK,
    },
    REBOOTING: {RESET: OFFERED, NEW_BOOTED: TESTING, OLD_BOOTED: ROLLED_BACK},
    TESTING: {NEW_BOOTED: TESTING, PASS: CONFIRMED, OLD_BOOTED: ROLLED_BACK, FAIL: FAILED},
    CONFIRMED: _ENDED,
    REJECTED: _ENDED,
    FAILED: _ENDED,
    ROLLED_BACK: _ENDED,
    CANCELLED: _ENDED,
}


def after(phase, event):
    """The phase that follows `phase` on `event`. Raises KeyError where the table has none."""
    return TRANSITIONS[phase][event]
