"""One offer to one device, from its first state to its end.

Theory of operation. `tracking` judges what the device says, `direct` what it is sent; here are the broker, the store
and the clock. The offer is kept in the store before it goes out, and it goes out again after each reconnect and
whenever the device keeps reporting a lower number, because a broker may have forgotten it. Chunks are sent only while
the socket takes them, so that a newer want can always replace what has not left yet.

Silence is counted from the last sign of life: a want for this offer, or what `tracking` takes for one. Wants are only
answered when `direct` is one of the offer's ways; with another way the device can be left alone (`detach`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sqlalchemy import Engine

from agent.protocol import limits, offer, phases, reasons
from agent.protocol.errors import ProtocolError
from agent.protocol.host import offers, topics
from broker_tools import delivery, exits
from broker_tools.client import Client
from broker_tools.connection import Message
from broker_tools.direct import Direct
from broker_tools.errors import OtafleetError
from broker_tools.events import Event, Listener, nobody
from broker_tools.outcome import Outcome
from broker_tools.release import Release
from broker_tools.stopping import never
from broker_tools.store import desired as desired_store
from broker_tools.tracking import Track

TURN_S = 0.25
"""How often timers and `stop` are looked at, in seconds."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things are waited for, in seconds.

    discover -- for a device's retained state
    remind, remind_max -- before the offer goes out again to a device that did not take it up: first, longest
    settle -- for the answer to a withdrawal
    acknowledge -- for the broker's acknowledgement of an offer that is left to it
    """

    discover: float = 3.0
    remind: float = 5.0
    remind_max: float = 60.0
    settle: float = 5.0
    acknowledge: float = 30.0


DEFAULT_TIMING = Timing()


class Publication:
    """A session with one device; within the context it owns the client's hooks.

    `stop` is asked often, and True ends `discover` and `follow` as Ctrl-C does.
    """

    def __init__(
        self,
        client: Client,
        store: Engine,
        prefix: str,
        device: str,
        *,
        on_event: Listener = nobody,
        stop: Callable[[], bool] = never,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """Prepare; `client` must be open."""
        self.track = Track(device, on_event)
        self._device = device
        self._prefix = prefix
        leaves = (topics.state, topics.ack, topics.want, topics.online, topics.desired)
        self._topics = {leaf.__name__: leaf(prefix, device) for leaf in leaves}
        self._client = client
        self._store = store
        self._tell = on_event
        self._stop = stop
        self._timing = timing
        self._n = 0
        self._desired = b""
        self._direct: Direct | None = None
        self._returned = False  # the device, and it has asked for nothing since
        self._bad_state = ""
        self._noted: set[str] = set()
        self._life = 0.0
        self._remind_s = timing.remind
        self._remind_at = 0.0

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

    def discover(self) -> None:
        """Wait until the device's state is in `track`. Nothing is published yet.

        Raises OtafleetError when it has never reported, or only what no agent of this protocol reports.
        """
        for leaf in ("state", "ack", "want", "online"):
            # As published: asking for a want twice would serve a window twice.
            self._client.subscribe(self._topics[leaf], 0 if leaf == "want" else 1)
        deadline = time.monotonic() + self._timing.discover
        while self.track.state is None:
            if self._stop():
                raise OtafleetError("interrupted; nothing was offered")
            if time.monotonic() > deadline:
                if self._bad_state:
                    raise OtafleetError(
                        f"{self._device} reports a state that cannot be read ({self._bad_state})"
                    )
                where = f"under {self._prefix}/ at {self._client.broker}"
                raise OtafleetError(
                    f"unknown device {self._device}: none has ever reported by that id {where}"
                )
            self.work()
        speaks = self.track.state["protocol"]
        if limits.VERSION not in speaks:
            message = (
                f"{self._device} speaks protocol versions {speaks}; this otafleet speaks {limits.VERSION}"
            )
            raise OtafleetError(message)
        self._tell(self.track.describe())

    def offer(self, release: Release, attempt: int = 0, ways: Sequence[str] = (delivery.DIRECT,)) -> None:
        """Offer `release` to the device under its next number, to be fetched by one of `ways`, the first one first.

        `attempt` above 0 asks the device to lift its quarantine of this image. Raises OtafleetError when the store
        refuses or the offer does not fit the protocol's bounds.
        """

        def make(n: int) -> bytes:
            if n > limits.N_MAX:
                raise OtafleetError(
                    f"{self._device} has no offer number left; erase its NVS and provision it anew"
                )
            return offers.encode_offer(n, "", attempt, offer.NOW, [release.manifest], list(ways))

        try:
            self._n, self._desired = desired_store.offer(
                self._store, self._prefix, self._device, self.track.reported, make
            )
        except ValueError:
            message = f"the offer exceeds {limits.DESIRED_MAX} bytes; name fewer hardware revisions, or shorter URLs"
            raise OtafleetError(message, exits.USAGE) from None
        self.track.follow(self._n, release)
        if delivery.DIRECT in ways:
            self._direct = Direct(release, self._prefix, self._device, self._n)
        self._publish_desired()
        self._life = time.monotonic()
        text = f"offered {release.project} {release.version} ({release.chunks} chunks) to {self._device}, n {self._n}"
        fields = {
            "n": self._n,
            "sha256": release.sha256,
            "content": release.content,
            "chunks": release.chunks,
            "source": list(ways),
        }
        self._tell(Event("offered", text, fields))

    def detach(self) -> Outcome:
        """Leave the device alone with its offer: return as soon as the broker has acknowledged it.

        Interrupted before that, or without a broker for too long, the offer is withdrawn.
        """
        deadline = time.monotonic() + self._timing.acknowledge
        while not self._client.flush(TURN_S):
            self.work()
            if self._stop():
                return self._give_up(exits.FAILED, "interrupted", "interrupted")
            if time.monotonic() > deadline:
                why = f"the broker did not acknowledge the offer within {self._timing.acknowledge:g} s"
                return self._give_up(exits.NO_BROKER, "no_broker", why)
        message = (
            f"the offer is on the broker and waits there for {self._device}, n {self._n}; nobody watches it"
        )
        return Outcome(exits.OK, "offered", "", message, self.track.state)

    def follow(self, timeout: float) -> Outcome:
        """Serve the device until the offer has ended, it was silent for `timeout` seconds, or `stop` says so.

        In the last two cases the offer is withdrawn, unless the device is past set_boot.
        """
        while True:
            self.work()
            if self.track.outcome:
                return self.track.outcome
            if self._stop():
                return self._give_up(exits.FAILED, "interrupted", "interrupted")
            if time.monotonic() - self._life > timeout:
                if not self._client.online:
                    return self._give_up(exits.NO_BROKER, "no_broker", f"no broker for {timeout:g} s")
                return self._give_up(
                    exits.TIMED_OUT, "timed_out", f"{self._device} was silent for {timeout:g} s"
                )

    # -- work --------------------------------------------------------------------------------------------------

    def work(self, wait: float = TURN_S) -> None:
        """Take what came in, serve what is asked for and look after the offer; wait at most `wait` seconds."""
        for message in self._client.pump(wait):
            self._take(message)
        while self._direct and self._client.writable:
            chunk = self._direct.next()
            if chunk is None:
                self.track.on_progress(self._direct.progress)
                break
            self._client.publish(*chunk)
        self._remind()

    def _take(self, message: Message) -> None:
        # Nothing but the exact topics of one device is subscribed to.
        leaf = message.topic.rpartition("/")[2]
        signs, erased = self.track.signs, self.track.erased
        alive = False
        try:
            if leaf == "state":
                self.track.on_state(message.payload, message.retained)
            elif leaf == "ack":
                self.track.on_ack(message.payload)
            elif leaf == "online":
                if self.track.on_presence(message.payload):
                    self._returned = True
                    self._remind_at = time.monotonic() + self._remind_s
            elif self._direct:
                alive = self._direct.want(message.payload)
        except ProtocolError as error:
            if leaf == "state":
                self._bad_state = str(error)
            self._note(f"bad {leaf} from {self._device}: {error}", error.reason)
        if self._direct and self.track.erased != erased:
            self._direct.restart()
        self._returned = self._returned and not alive
        if alive or self.track.signs != signs:
            self._life = time.monotonic()

    def _note(self, text: str, reason: str) -> None:
        """Tell of bad input, each kind once: whoever can write to a topic could fill the screen."""
        if text not in self._noted:
            self._noted.add(text)
            self._tell(Event("note", text, {"reason": reason}))

    def _publish_desired(self) -> None:
        """Put the offer, or its withdrawal, on the broker; without a connection `_on_online` will do it."""
        if self._desired:
            self._client.publish(self._topics["desired"], self._desired, qos=1, retain=True)
            self._remind_at = time.monotonic() + self._remind_s

    def _remind(self) -> None:
        """Publish the offer again while the device reports a lower number, or came back and does not ask.

        The broker may have forgotten the offer, or have told it an older one.
        """
        if (
            self._desired
            and (self.track.behind or self._returned)
            and time.monotonic() >= self._remind_at
            and self._client.online
        ):
            self._remind_s = min(2 * self._remind_s, self._timing.remind_max)
            self._returned = False
            self._publish_desired()

    def _on_online(self) -> None:
        self._life = time.monotonic()
        self._tell(Event("broker", f"connected again to {self._client.broker}", {"online": True}))
        self._publish_desired()

    def _on_offline(self) -> None:
        self._tell(
            Event("broker", f"lost the broker at {self._client.broker}; trying again", {"online": False})
        )

    # -- giving up ---------------------------------------------------------------------------------------------

    def _give_up(self, exit_code: int, result: str, why: str) -> Outcome:
        """Withdraw and say what was done; an update that turns out to have ended meanwhile is reported as that."""
        done = self._withdraw()
        outcome = self.track.outcome
        if outcome and outcome.result != phases.CANCELLED:
            return outcome
        return Outcome(exit_code, result, self.track.reason, f"{why}; {done}", self.track.state)

    def _withdraw(self) -> str:
        """Take the offer back if that is still possible; return what was done."""
        if self.track.committed:
            return f"{self._device} already starts the new image, so the offer stands"
        payload = offers.encode_withdrawal(self._n, reasons.WITHDRAWN)
        if not desired_store.withdraw(self._store, self._prefix, self._device, self._n, payload):
            return "a later offer has already replaced this one"
        self._desired = payload
        self._direct = None
        self._publish_desired()
        if not self._client.flush():
            return "the broker could not be told, so the offer is still on it; publish again to replace it"
        deadline = time.monotonic() + self._timing.settle
        while time.monotonic() < deadline and not self.track.outcome:
            self.work()
            if self.track.committed:
                return f"the withdrawal came too late, {self._device} already starts the new image"
        if self.track.outcome:
            return "the offer was withdrawn, and the device has let it go"
        return "the offer was withdrawn; the device has not answered yet"
