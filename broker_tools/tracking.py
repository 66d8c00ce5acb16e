"""What one device says while it follows an offer: order, signs of life, outcome. Rules only, no I/O.

Theory of operation. The device's `state` is the truth and the only thing that decides the outcome; acks are shown
because they come first. Reports are ordered by (boot, k) within an epoch, so that neither a duplicate nor an old
state that a broker serves again can take anything back. The first end that a state reports for our offer is the
outcome, whatever is reported later (a withdrawal may cancel an offer that has just ended).

A sign of life is an ack, or a state about our offer. None is: what the broker had merely kept, a state about
another offer, or one in which a device that waits (stalled, deferred) only repeats that it does.
"""

from collections.abc import Mapping
from typing import Any

from agent.protocol import phases
from agent.protocol.host import reports
from broker_tools.events import Event, Listener
from broker_tools.outcome import Outcome, explain, judge, running_slot
from broker_tools.release import Release
from broker_tools.text import clean

WAITING = (phases.STALLED, phases.DEFERRED)
SAID = ("phase", "reason", "progress", "attempt")
"""Fields of a state that differ when a waiting device has got on."""


class Track:
    """One device. `signs` counts signs of life; `erased` counts how often its storage was found erased."""

    def __init__(self, device: str, tell: Listener) -> None:
        """Know nothing yet."""
        self.state: dict[str, Any] | None = None
        self.outcome: Outcome | None = None
        self.signs = 0
        self.erased = 0
        self._device = device
        self._tell = tell
        self._n = 0
        self._release: Release | None = None
        self._presence: Mapping[str, Any] = {"boot": 0, "conn": 0, "online": True}
        self._shown = ("", "")
        self._done = 0

    @property
    def reported(self) -> int:
        """The offer number in the newest state, 0 when there is none."""
        return int(self.state["n"]) if self.state else 0

    @property
    def behind(self) -> bool:
        """Whether the device has not taken up our offer yet, as far as its state tells."""
        return self.reported < self._n

    @property
    def committed(self) -> bool:
        """Whether our offer is past set_boot, where it can no longer be withdrawn."""
        return bool(self.state and self.state["n"] == self._n and self.state["phase"] in phases.COMMITTED)

    @property
    def reason(self) -> str:
        """The reason in the newest state, if that is about our offer."""
        return str(self.state["reason"]) if self.state and self.state["n"] == self._n else ""

    def follow(self, n: int, release: Release) -> None:
        """From now on `n`, an offer of `release`, is ours."""
        self._n, self._release = n, release

    def on_state(self, payload: bytes, retained: bool) -> None:
        """Take a state. Raises ProtocolError when it is none."""
        state = reports.decode_state(payload)
        before = self.state
        same_epoch = before is not None and before["epoch"] == state["epoch"]
        if before and same_epoch and _mark(state) < _mark(before):
            return
        self.erased += before is not None and not same_epoch
        self.state = state
        if self._release is None:
            return
        if self.outcome is None:
            self.outcome = judge(state, self._device, self._n, self._release.sha256, self._release.version)
        if state["n"] != self._n:
            return
        waits = state["phase"] in WAITING and before and all(before[key] == state[key] for key in SAID)
        self.signs += not (retained or waits)
        self._show_phase(state)
        if state["phase"] == phases.DOWNLOADING:
            self.on_progress(state["progress"][0])

    def on_ack(self, payload: bytes) -> None:
        """Take an ack. Raises ProtocolError when it is none."""
        ack = reports.decode_ack(payload)
        if self._release is None or ack["n"] != self._n:
            return
        if self.state and ack["epoch"] == self.state["epoch"] and _mark(ack) < _mark(self.state):
            return
        self.signs += 1
        self._show_phase(ack)
        if ack["phase"] == phases.VERIFYING and ack["saved"]:
            text = f"{ack['saved']} of {self._release.chunks} chunks were in the slot already"
            self._tell(Event("saved", text, {"saved": ack["saved"], "total": self._release.chunks}))

    def on_presence(self, payload: bytes) -> bool:
        """Take an `online` message; return whether the device has come back. Raises ProtocolError when it is none."""
        presence = reports.decode_online(payload)
        before = self._presence
        # A last will may come long after the device is back: it names the connection that it was left for.
        if (presence["boot"], presence["conn"]) < (before["boot"], before["conn"]):
            return False
        self._presence = presence
        if presence["online"] != before["online"]:
            waits = "; the offer waits for it on the broker" if self.behind else ""
            now = "online again" if presence["online"] else f"offline{waits}"
            fields = {"device": self._device, "online": presence["online"]}
            self._tell(Event("device", f"{self._device} is {now}", fields))
        return presence["online"] is True and presence != before

    def on_progress(self, done: int) -> None:
        """Show how many chunks have got through, if that is news."""
        total = self._release.chunks if self._release else 0
        if self._done < done <= total:
            self._done = done
            self._tell(Event("progress", f"{done} of {total} chunks", {"done": done, "total": total}))

    def describe(self) -> Event:
        """Say what the device is and runs."""
        state = self.state or {}
        slot = running_slot(state) or {"version": "", "app_state": "unknown"}
        version = clean(slot["version"]) or "an unnamed version"
        text = f"{self._device}: {state['chip']}, project {state['project']}, runs {version} from {state['running']}"
        fields = {"device": self._device, "state": state}
        return Event("device", f"{text} ({slot['app_state']}), floor {state['floor']}", fields)

    def _show_phase(self, said: Mapping[str, Any]) -> None:
        now = (said["phase"], said["reason"])
        if now != self._shown:
            self._shown = now
            why = f" ({explain(now[1])})" if now[1] else ""
            fields = {"phase": now[0], "reason": now[1]}
            self._tell(Event("phase", f"{self._device}: {now[0].replace('_', ' ')}{why}", fields))


def _mark(said: Mapping[str, Any]) -> tuple[int, int]:
    """Order of a device's reports within one epoch."""
    return said["boot"], said["k"]
