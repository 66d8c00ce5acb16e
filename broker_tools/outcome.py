"""What became of an offer: judged from the device's `state` alone, by rules without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.protocol import phases
from agent.protocol.host.reason_texts import REASONS
from broker_tools import exits

VALID = "VALID"
WRONG_IMAGE = "wrong_image"
"""Our own reason: the device says confirmed, but not of the offered image in a VALID slot."""

ENDS = {
    phases.CONFIRMED: exits.OK,
    phases.REJECTED: exits.REJECTED,
    phases.ROLLED_BACK: exits.ROLLED_BACK,
    phases.FAILED: exits.FAILED,
    phases.CANCELLED: exits.FAILED,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an update.

    exit_code -- one of exits
    result -- confirmed, rejected, rolled_back, failed, cancelled, superseded, timed_out, interrupted, no_broker
        or error (there was no offer)
    reason -- a stable code of agent.protocol.reasons, or "" when there is nothing to say
    message -- one line for a person
    state -- the device's last state, None when it never reported
    """

    exit_code: int
    result: str
    reason: str
    message: str
    state: Mapping[str, Any] | None


def judge(state: Mapping[str, Any], device: str, n: int, sha256: str, version: str) -> Outcome | None:
    """Return what the device's `state` means for offer `n` of the image `sha256`; None while it goes on.

    Success is the phase confirmed with the running slot VALID on this very digest, and nothing less.
    """
    if state["n"] > n:
        message = f"{device} follows a later offer (n {state['n']}, ours was {n})"
        return Outcome(exits.FAILED, "superseded", "superseded", message, state)
    phase, reason = state["phase"], state["reason"]
    if state["n"] < n or phase not in ENDS:
        return None
    if phase != phases.CONFIRMED:
        message = f"{device}: {phase.replace('_', ' ')}: {explain(reason)}"
        return Outcome(ENDS[phase], phase, reason, message, state)
    running = running_slot(state)
    if running is None or running["sha256"] != sha256 or running["app_state"] != VALID:
        seen = (
            "unknown"
            if running is None
            else f"{running['app_state']} on {running['sha256'][:16] or 'no digest'}"
        )
        message = f"{device} reports confirmed, but its running slot is {seen}, not VALID on {sha256[:16]}"
        return Outcome(exits.FAILED, phases.FAILED, WRONG_IMAGE, message, state)
    already = " (it already ran it)" if reason == "already_running" else ""
    message = f"{device} runs {version} from {running['slot']}, confirmed VALID{already}"
    return Outcome(exits.OK, phases.CONFIRMED, reason, message, state)


def running_slot(state: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The slot that the device runs from, None when it does not list it."""
    return next((slot for slot in state["slots"] if slot["slot"] == state["running"]), None)


def explain(reason: str) -> str:
    """Return a reason code with its sentence: "below_floor: The image is older than ...", or the bare code."""
    if not reason:
        return "no reason given"
    return f"{reason}: {REASONS[reason]}" if reason in REASONS else reason
