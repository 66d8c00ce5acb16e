"""One offer to one device, from its first state to its end.

Theory of operation. The device's `state` is the truth and the only thing that decides the outcome; acks are shown
because they come first. The offer is kept in the store before it goes out, and it goes out again after each
reconnect and whenever the device keeps reporting a lower number, because a broker may have forgotten it. Chunks
are sent only while the socket takes them, so that a newer want can always replace what has not left yet.

Silence: `timeout` seconds in which the device gave no sign that it is getting on with this offer. Wants, acks and
states about this offer are such signs; a device that waits (stalled, deferred) and only repeats so, one that
does not take the offer up, and messages that the broker had merely kept are none.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Engine

from agent.protocol import limits, offer, phases, reasons, report, topics
from agent.protocol.errors import ProtocolError
from broker_tools import exits
from broker_tools.client import Client
from broker_tools.connection import Message
from broker_tools.direct import Direct
from broker_tools.errors import OtafleetError
from broker_tools.events import Event, Listener, nobody
from broker_tools.outcome import Outcome, explain, judge, running_slot
from broker_tools.release import Release
from broker_tools.store import desired as desired_store
from broker_tools.text import clean

SOURCE = ["direct"]
TURN_S = 0.25
"""How often timers and `stop` are looked at, in seconds."""
WAITING = (phases.STALLED, phases.DEFERRED)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things are waited for, in seconds.

    discover -- for a device's retained state
    remind, remind_max -- before the offer goes out again to a device that did not take it up: first, longest
    settle -- for the answer to a withdrawal
    """

    discover: float = 3.0
    remind: float = 5.0
    remind_max: float = 60.0
    settle: float = 5.0


class Publication:
    """A session with one device. Within the context it owns the client's hooks."""

    def __init__(
        self,
        client: Client,
        store: Engine,
        prefix: str,
        device: str,
        *,
        on_event: Listener = nobody,
        stop: Callable[[], bool] = bool,
        timing: Timing | None = None,
    ) -> None:
        """Prepare; `stop` is asked often, and True ends `follow` as Ctrl-C does."""
        self.device = device
        self.prefix = prefix
        self.state: dict[str, Any] | None = None
        self._client = client
        self._store = store
        self._tell = on_event
        self._stop = stop
        self._timing = timing or Timing()
        self._release: Release | None = None
        self._direct: Direct | None = None
        self._n = 0
        self._desired = b""
        self._life = 0.0
        self._remind_at = 0.0
        self._remind_s = self._timing.remind
        self._shown = ("", "")
        self._progress = 0
        self._bad_state = ""
        self._handlers = {
            topics.state(prefix, device): self._on_state,
            topics.ack(prefix, device): self._on_ack,
            topics.want(prefix, device): self._on_want,
            topics.online(prefix, device): self._on_presence,
        }

    def __enter__(self) -> Self:
        """Take over the client's hooks."""
        self._client.on_online = self._on_online
        self._client.on_offline = self._on_offline
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the hooks back."""
        self._client.on_online = self._client.on_offline = None

    def discover(self) -> Mapping[str, Any]:
        """Return the device's state. Nothing is published yet.

        Raises OtafleetError when it has never reported, or only what no agent of this protocol reports.
        """
        for topic in self._handlers:
            self._client.subscribe(topic, 0 if topic.endswith("/want") else 1)
        deadline = time.monotonic() + self._timing.discover
        while self.state is None and time.monotonic() < deadline and not self._stop():
            self._work()
        if self.state is not None:
            if limits.VERSION not in self.state["protocol"]:
                speaks = ", ".join(map(str, self.state["protocol"])) or "none"
                message = (
                    f"{self.device} speaks protocol versions {speaks}; this otafleet speaks {limits.VERSION}"
                )
                raise OtafleetError(message)
            self._tell(_describe(self.device, self.state))
            return self.state
        if self._bad_state:
            raise OtafleetError(f"{self.device} reports a state that cannot be read ({self._bad_state})")
        where = f"under {self.prefix}/ at {self._client.broker}"
        raise OtafleetError(f"unknown device {self.device}: none has ever reported by that id {where}")

    def offer(self, release: Release, attempt: int = 0) -> int:
        """Offer `release` to the device under its next number; return the number.

        `attempt` above 0 asks the device to lift its quarantine of this image. Raises OtafleetError when the store
        refuses or the offer does not fit the protocol's bounds.
        """
        reported = self.state["n"] if self.state else 0

        def make(n: int) -> bytes:
            if n > limits.N_MAX:
                raise OtafleetError(
                    f"{self.device} has used up its offer numbers; erase its NVS and provision it anew"
                )
            return offer.encode_offer(n, "", attempt, offer.NOW, [release.manifest], SOURCE)

        try:
            self._n, self._desired = desired_store.offer(
                self._store, self.prefix, self.device, reported, make
            )
        except ValueError:
            message = f"the offer exceeds {limits.DESIRED_MAX} bytes; name fewer hardware revisions"
            raise OtafleetError(message, exits.USAGE) from None
        self._release = release
        self._direct = Direct(release, self.prefix, self.device, self._n)
        self._publish_desired()
        self._life = time.monotonic()
        text = f"offered {release.project} {release.version} ({release.chunks} chunks) to {self.device}, n {self._n}"
        fields = {
            "n": self._n,
            "sha256": release.sha256,
            "content": release.content,
            "chunks": release.chunks,
        }
        self._tell(Event("offered", text, fields))
        return self._n

    def follow(self, timeout: float) -> Outcome:
        """Serve the device until the offer has ended, it was silent for `timeout` seconds, or `stop` says so.

        In the last two cases the offer is withdrawn, unless the device is past set_boot.
        """
        while True:
            self._work()
            outcome = self._judge()
            if outcome:
                return outcome
            if self._stop():
                return self._give_up(exits.FAILED, "interrupted", "interrupted")
            if time.monotonic() - self._life > timeout:
                if not self._client.online:
                    return self._give_up(exits.NO_BROKER, "no_broker", f"no broker for {timeout:g} s")
                return self._give_up(
                    exits.TIMED_OUT, "timed_out", f"{self.device} was silent for {timeout:g} s"
                )

    # -- work --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        for message in self._client.pump(TURN_S):
            self._take(message)
        while self._direct and self._client.writable:
            chunk = self._direct.next()
            if chunk is None:
                break
            self._client.publish(*chunk)
            self._show_progress(self._direct.progress)
        self._remind()

    def _take(self, message: Message) -> None:
        handler = self._handlers.get(message.topic)
        if handler is None:
            return
        try:
            handler(message)
        except ProtocolError as error:
            leaf = message.topic.rpartition("/")[2]
            if leaf == "state":
                self._bad_state = str(error)
            self._tell(
                Event("note", f"bad {leaf} from {self.device}: {clean(error)}", {"reason": error.reason})
            )

    def _judge(self) -> Outcome | None:
        release = self._release
        if self.state is None or release is None:
            return None
        return judge(self.state, self.device, self._n, release.sha256, release.version)

    def _publish_desired(self) -> None:
        """Put the offer, or its withdrawal, on the broker; without a connection `_on_online` will do it."""
        if self._desired:
            self._client.publish(topics.desired(self.prefix, self.device), self._desired, qos=1, retain=True)
            self._remind_at = time.monotonic() + self._remind_s

    def _remind(self) -> None:
        """Publish the offer again while the device reports a lower number: the broker may have forgotten it."""
        behind = self.state is not None and self.state["n"] < self._n
        if self._desired and behind and self._client.online and time.monotonic() >= self._remind_at:
            self._remind_s = min(2 * self._remind_s, self._timing.remind_max)
            self._publish_desired()

    # -- what comes in -----------------------------------------------------------------------------------------

    def _on_state(self, message: Message) -> None:
        state = report.decode_state(message.payload)
        before = self.state
        if before and before["epoch"] == state["epoch"] and _mark(state) < _mark(before):
            return  # A broker that restarted from an old file, or another node of a cluster, serves old states.
        if before and before["epoch"] != state["epoch"] and self._direct:
            self._direct.restart()
        self.state = state
        if self._n and state["n"] == self._n:
            told = ("phase", "reason", "progress", "attempt")
            waits = state["phase"] in WAITING and before and all(before[key] == state[key] for key in told)
            if not message.retained and not waits:
                self._life = time.monotonic()
            self._show_phase(state)
            if state["phase"] == phases.DOWNLOADING:
                self._show_progress(state["progress"][0])

    def _on_ack(self, message: Message) -> None:
        ack = report.decode_ack(message.payload)
        if not self._n or ack["n"] != self._n:
            return
        if self.state and ack["epoch"] == self.state["epoch"] and _mark(ack) < _mark(self.state):
            return
        self._life = time.monotonic()
        self._show_phase(ack)

    def _on_want(self, message: Message) -> None:
        if self._direct and not message.retained and self._direct.want(message.payload):
            self._life = time.monotonic()

    def _on_presence(self, message: Message) -> None:
        presence = report.decode_online(message.payload)
        if self._n or not presence["online"]:
            text = f"{self.device} is {'online' if presence['online'] else 'offline'}"
            self._tell(Event("device", text, {"device": self.device, "online": presence["online"]}))

    def _on_online(self) -> None:
        self._life = time.monotonic()
        self._tell(Event("broker", f"connected again to {self._client.broker}", {"online": True}))
        self._publish_desired()

    def _on_offline(self) -> None:
        self._tell(
            Event("broker", f"lost the broker at {self._client.broker}; trying again", {"online": False})
        )

    def _show_phase(self, report_: Mapping[str, Any]) -> None:
        now = (report_["phase"], report_["reason"])
        if now != self._shown:
            self._shown = now
            why = f" ({explain(now[1])})" if now[1] else ""
            fields = {"phase": now[0], "reason": now[1]}
            self._tell(Event("phase", f"{self.device}: {now[0].replace('_', ' ')}{why}", fields))

    def _show_progress(self, done: int) -> None:
        total = self._release.chunks if self._release else 0
        if self._progress < done <= total:
            self._progress = done
            self._tell(Event("progress", f"{done} of {total} chunks", {"done": done, "total": total}))

    # -- giving up ---------------------------------------------------------------------------------------------

    def _give_up(self, exit_code: int, result: str, why: str) -> Outcome:
        """Withdraw, wait a moment for the device's answer, and say what was done.

        An update that turns out to have ended meanwhile is reported as that.
        """
        done = self._withdraw()
        outcome = self._judge()
        if outcome and outcome.result != phases.CANCELLED:
            return outcome
        reason = self.state["reason"] if self.state and self.state["n"] == self._n else ""
        return Outcome(exit_code, result, reason, f"{why}; {done}", self.state)

    def _committed(self) -> bool:
        state = self.state
        return bool(state and state["n"] == self._n and state["phase"] in phases.COMMITTED)

    def _withdraw(self) -> str:
        """Take the offer back if that is still possible; return what was done."""
        if self._committed():
            return f"{self.device} already starts the new image, so the offer stands"
        payload = offer.encode_withdrawal(self._n, reasons.WITHDRAWN)
        if not desired_store.withdraw(self._store, self.prefix, self.device, self._n, payload):
            return "a later offer has already replaced this one"
        self._desired = payload
        self._direct = None
        self._publish_desired()
        if not self._client.flush():
            return "the broker could not be told, so the offer is still on it; publish again to replace it"
        deadline = time.monotonic() + self._timing.settle
        while time.monotonic() < deadline:
            if self._committed():
                return f"the withdrawal came too late: {self.device} already starts the new image"
            if self._judge():
                return "the offer was withdrawn and the device has let it go"
            self._work()
        return "the offer was withdrawn; the device has not answered yet"


def publish(
    client: Client,
    store: Engine,
    release: Release,
    device: str,
    *,
    prefix: str = "fleet",
    timeout: float = 600.0,
    attempt: int = 0,
    on_event: Listener = nobody,
    stop: Callable[[], bool] = bool,
) -> Outcome:
    """Update one device and return how it ended; the client must be open.

    `timeout` is the longest silence in seconds. Raises OtafleetError when the device is unknown or the store refuses.
    """
    with Publication(client, store, prefix, device, on_event=on_event, stop=stop) as publication:
        publication.discover()
        publication.offer(release, attempt)
        return publication.follow(timeout)


def _mark(report_: Mapping[str, Any]) -> tuple[int, int]:
    """Order of a device's reports within one epoch."""
    return report_["boot"], report_["k"]


def _describe(device: str, state: Mapping[str, Any]) -> Event:
    slot = running_slot(state) or {"version": "", "app_state": "unknown"}
    version = clean(slot["version"]) or "an unnamed version"
    text = f"{device}: {state['chip']}, project {state['project']}, runs {version} from {state['running']}"
    fields = {"device": device, "state": dict(state)}
    return Event("device", f"{text} ({slot['app_state']}), floor {state['floor']}", fields)
