"""The demonstration: one twin, three updates. One works; two break in the ways that matter, and are undone.

It is what a user would type, done by the same functions: make a key, run a twin, sign an image, publish it. Only the
confirm deadline in the manifests is short, so that nobody has to wait five minutes for a roll-back.
"""

import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.protocol import reasons
from agent.protocol.host import topics
from broker_tools import broker_url, image, keys, provision, twins
from broker_tools.broker_url import BrokerUrl
from broker_tools.client import Client
from broker_tools.embedded import EmbeddedBroker
from broker_tools.errors import OtafleetError
from broker_tools.events import Event, Listener
from broker_tools.image import AppImage
from broker_tools.outcome import Outcome, running_slot
from broker_tools.publishing import Publication, Timing
from broker_tools.signing import Wish, sign
from broker_tools.store.database import open_engine
from broker_tools.twin_process import TwinProcess

PROJECT = "lamp"
CONFIRM_S = 5
IMAGE_SIZE = 112 * 1024
"""Bytes of each image: enough for a progress bar to be seen at the speed of real flash."""
START_S = 15
"""Seconds that the twin has to report for the first time."""
SILENCE_S = 30
"""Seconds of silence after which an update is given up."""
FAREWELL_S = 3
"""Seconds in which a broker is to notice that the twin is gone."""

WORKS = provision.agent_file("main.py")
CRASHES = b"""
raise RuntimeError("the lamp is not where this program expects it")
"""
# It begins as main.py of the agent does: an app that shares a small heap with the agent has to be tidy.
LOST = b"""
import gc
gc.threshold(4096)
from agent.agent import Agent
from agent.config import load

config = load()
config.wifi = {"ssid": "the neighbours", "key": ""}
Agent(config).run()
"""


@dataclass(frozen=True, slots=True)
class Act:
    """One update of the demonstration."""

    version: str
    code: bytes
    title: str
    result: str
    """How it must end: confirmed or rolled_back."""
    reason: str
    """Why it must end so, as a code of the protocol: an image that broke in another way has shown nothing."""
    why: str
    """What this shows, for a person."""


ACTS = (
    Act("1.1", WORKS, "an image that works", "confirmed", "", "it proved itself and stays"),
    Act(
        "1.2",
        CRASHES,
        "an image whose app crashes as it starts",
        "rolled_back",
        reasons.NEVER_STARTED,
        "the guard undid it",
    ),
    Act(
        "1.3",
        LOST,
        "an image that joins the wrong Wi-Fi",
        "rolled_back",
        reasons.UNREACHABLE,
        "it found no broker and gave itself up",
    ),
)

Show = Callable[[], AbstractContextManager[Listener]]


@dataclass(frozen=True, slots=True)
class Ended:
    """How an act ended, and whether it is how it must."""

    act: Act
    outcome: Outcome
    right: bool

    @property
    def line(self) -> str:
        """One line for a person."""
        if not self.right:
            return f"{self.act.version} ended wrongly: {self.outcome.message}"
        if self.act.result == "confirmed":
            return f"{self.act.version} confirmed VALID"
        return f"{self.act.version} rolled back by itself ({self.outcome.reason})"


def play(
    folder: Path, broker: BrokerUrl | None, prefix: str, show: Show, stop: Callable[[], bool]
) -> list[Ended]:
    """Play all acts and return how they ended; fewer than `ACTS` when `stop` said so.

    :param folder: an empty one, for home and twin
    :param broker: where to connect; None starts the embedded broker
    :param show: opens a listener for the events of one act
    :raises OtafleetError: when the broker or the twin does not work
    """
    ended: list[Ended] = []
    with ExitStack() as stack:
        if broker is None:
            broker = broker_url.parse(stack.enter_context(EmbeddedBroker()).url)
            with show() as tell:
                tell(Event("note", f"started the embedded broker at {broker}", {"broker": str(broker)}))
        else:
            _require(broker)
        stage = stack.enter_context(_Stage(folder, broker, prefix, stop))
        while len(ended) < len(ACTS) and not stop():
            with show() as tell:
                ended.append(stage.perform(len(ended), tell))
    return ended


class _Stage:
    """A home with a key, a store, and a twin that runs within the context."""

    def __init__(self, folder: Path, broker: BrokerUrl, prefix: str, stop: Callable[[], bool]) -> None:
        home = folder / "home"
        home.mkdir(mode=0o700)
        self._key = keys.create(home, "demo")
        self._store = open_engine(f"sqlite:///{home / 'otafleet.db'}")
        self._broker = broker
        self._prefix = prefix
        self._device = f"demo-{secrets.token_hex(3)}"
        self._stop = stop
        self._good = ""
        settings = provision.Settings(self._device, PROJECT, broker, prefix, [self._key.jwk])
        twins.provision(folder / "twin", settings)
        self._twin = TwinProcess(folder / "twin", flash_timing=True)

    def perform(self, number: int, tell: Listener) -> Ended:
        """Publish the image of one act and judge how that ended."""
        act = ACTS[number]
        title = f"{number + 1} of {len(ACTS)}: {act.title} ({PROJECT} {act.version})"
        tell(Event("act", title, {"act": number + 1}))
        app = image.parse(twins.image(act.code, PROJECT, act.version, size=IMAGE_SIZE), f"{act.version}.bin")
        self._good = self._good or app.sha256
        try:
            outcome = self._publish(app, act.version, tell)
        finally:
            if self._twin.failure():
                raise OtafleetError(f"the twin has ended: {self._twin.failure()}")
        ended = Ended(act, outcome, self._right(act, outcome))
        tell(Event("outcome", outcome.message, {"result": outcome.result, "reason": outcome.reason}))
        if ended.right:
            tell(Event("note", f"as it must be: {act.why}"))
        return ended

    def _publish(self, app: AppImage, version: str, tell: Listener) -> Outcome:
        client = Client(self._broker)
        client.open()
        try:
            with Publication(
                client,
                self._store,
                self._prefix,
                self._device,
                on_event=tell,
                stop=lambda: self._stop() or bool(self._twin.failure()),
                timing=Timing(discover=START_S),
            ) as publication:
                publication.discover()
                release, _ = sign(self._store, app, self._key, Wish(PROJECT, version, confirm_s=CONFIRM_S))
                publication.offer(release)
                return publication.follow(SILENCE_S)
        finally:
            client.close()

    def _right(self, act: Act, outcome: Outcome) -> bool:
        """Whether an act ended as it must: every one leaves the device on the good image, VALID."""
        if (outcome.result, outcome.reason) != (act.result, act.reason) or outcome.state is None:
            return False
        running = running_slot(outcome.state)
        return running is not None and (running["sha256"], running["app_state"]) == (self._good, "VALID")

    def __enter__(self) -> Self:
        self._twin.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._twin.stop()
        self._store.dispose()
        _forget(self._broker, self._prefix, self._device)


def summary(ended: list[Ended], seconds: float) -> str:
    """Return the last line of the demonstration."""
    right = sum(result.right for result in ended)
    parts = "; ".join(result.line for result in ended)
    return f"demo: {right} of {len(ACTS)} updates ended as they must, in {seconds:.0f} s: {parts}"


def _require(broker: BrokerUrl) -> None:
    """Raise OtafleetError when nobody answers there, before anything is made."""
    client = Client(broker)
    client.open()
    client.close()


def _forget(broker: BrokerUrl, prefix: str, device: str) -> None:
    """Take the retained messages of a device that is gone off the broker, once that has seen it go."""
    online, *others = (leaf(prefix, device) for leaf in (topics.online, topics.desired, topics.state))
    client = Client(broker)
    try:
        client.open()
        client.subscribe(online, 1)
        limit = time.monotonic() + FAREWELL_S
        while time.monotonic() < limit:
            if any(b"false" in message.payload for message in client.pump(0.1)):
                break
        for topic in (online, *others):
            client.publish(topic, b"", qos=1, retain=True)
        client.flush()
    except OtafleetError:
        return  # The broker is gone, and what it kept with it or not: nothing more can be done.
    finally:
        client.close()
