"""Retained messages on a broker, written and read by their exact topics in windows.

Theory of operation. A PUBACK proves nothing: brokers acknowledge what their access rules or size limits then drop. So
whoever writes reads back. A broker does not say that a topic holds nothing, it just sends nothing: what has
not come after a silence counts as absent. Wildcards would be shorter, but some brokers cut what they replay to one,
and some replay nothing. A window bounds what the broker owes at any moment. One in which everything is absent owed
nothing, so the next one may be twice as large, and a content that is not there is found so in a few silences.

A connection that breaks is mended by the client; then the window is written again, or asked for again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from broker_tools import exits
from broker_tools.client import Client
from broker_tools.errors import OtafleetError
from broker_tools.text import size_text

WINDOW: Final = 20
"""Messages on their way at once, and topics in one SUBSCRIBE, so that it stays below 4 KB."""
WINDOW_MAX: Final = 640
"""Largest window of topics that seem to be absent."""
SILENCE_S: Final = 1.0
"""Seconds without a message after which the rest of a window is absent."""
AGAIN_S: Final = 3.0
"""The same when a window is asked for a second time: a message of 4 KB may take this long on a bad line."""
PATIENCE_S: Final = 45.0
"""Seconds without a broker, or without its acknowledgement, after which it is given up. A half-open connection is found
out in at most twice the keepalive of 20 s, and mended."""
BREAKS_MAX: Final = 3
"""Connections that may break over one window: more is no accident."""
TURN_S: Final = 0.25

Message = tuple[str, bytes]


def nothing() -> None:
    """Do nothing meanwhile."""


class Retained:
    """Writes and reads over a client of its own, which must be open.

    `meanwhile` is called several times a second; what it raises ends the work.
    """

    def __init__(
        self, client: Client, meanwhile: Callable[[], None] = nothing, patience: float = PATIENCE_S
    ) -> None:
        """Prepare; `patience` in seconds."""
        self._client = client
        self._meanwhile = meanwhile
        self._patience = patience
        self.breaks = 0
        """How often the connection has broken."""

    @property
    def broker(self) -> str:
        """Where all this is, for a person."""
        return str(self._client.broker)

    def write(self, messages: Sequence[Message]) -> Iterator[int]:
        """Write messages, an empty payload removes; after each window yield how many the broker has acknowledged.

        Raises OtafleetError when the broker stays away, does not acknowledge, or closes the connection again and again.
        """
        for first in range(0, len(messages), WINDOW):
            window = messages[first : first + WINDOW]
            self._insist(window)
            yield first + len(window)

    def read(
        self, topics: Sequence[str], window: int = WINDOW, *, twice: bool = True
    ) -> Iterator[tuple[Sequence[str], dict[str, bytes]]]:
        """Yield windows of `topics`, in order, each with the payloads of those that are there.

        With `twice`, what is absent is asked for a second time, until that has once brought nothing: then the broker
        is not slow, it lacks messages. Raises OtafleetError when it stays away or refuses.
        """
        first, size = 0, window
        while first < len(topics):
            asked = topics[first : first + size]
            found = self._ask(asked, SILENCE_S)
            absent = [topic for topic in asked if topic not in found]
            if twice and absent:
                late = self._ask(absent, AGAIN_S)
                found |= late
                twice = bool(late)
            first += len(asked)
            size = window if found else min(2 * size, max(window, WINDOW_MAX))
            yield asked, found

    def find(self, filters: Sequence[str]) -> dict[str, bytes]:
        """Return all that the broker replays to wildcards, which may be less than it has."""
        return self._ask(filters, SILENCE_S)

    def _insist(self, window: Sequence[Message]) -> None:
        for _ in range(BREAKS_MAX):
            self._await_broker()
            if self._send(window):
                return
        largest = max(len(payload) for _, payload in window)
        message = f"the broker at {self.broker} closes the connection when it is given retained messages"
        advice = "let it take retained messages, and packets of 8,192 bytes"
        settings = "mosquitto: retain_available, max_packet_size"
        raise OtafleetError(f"{message} of {size_text(largest)}: {advice} ({settings})")

    def _send(self, window: Sequence[Message]) -> bool:
        """Write a window; False when the connection broke before all of it was acknowledged."""
        for topic, payload in window:
            self._client.publish(topic, payload, qos=1, retain=True)
        deadline = time.monotonic() + self._patience
        while not self._client.flush(TURN_S):
            self._meanwhile()
            if not self._client.online:
                return False
            if time.monotonic() > deadline:
                message = f"the broker at {self.broker} acknowledges nothing for {self._patience:g} s"
                raise OtafleetError(message, exits.NO_BROKER)
        self._meanwhile()
        return True

    def _ask(self, filters: Sequence[str], silence: float) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for first in range(0, len(filters), WINDOW):
            self._client.subscribe_all(dict.fromkeys(filters[first : first + WINDOW], 0))
        exact = not any("+" in each for each in filters)
        wanted = set(filters)
        last = time.monotonic()
        while not (exact and len(found) == len(wanted)):
            for message in self._client.pump(TURN_S):
                if message.retained and (message.topic in wanted or not exact):
                    found[message.topic] = message.payload
                    last = time.monotonic()
            self._meanwhile()
            if not self._client.online:
                self._await_broker()
                last = time.monotonic()
            elif time.monotonic() - last > silence:
                break
        for first in range(0, len(filters), WINDOW):
            self._client.unsubscribe(filters[first : first + WINDOW])
        return found

    def _await_broker(self) -> None:
        """Return with a connection; whatever was subscribed to is subscribed to again, and replayed."""
        deadline = time.monotonic() + self._patience
        self.breaks += not self._client.online
        while not self._client.online:
            if time.monotonic() > deadline:
                message = f"the broker at {self.broker} went away and stayed away for {self._patience:g} s"
                raise OtafleetError(f"{message}; run this again when it is back", exits.NO_BROKER)
            self._client.pump(TURN_S)
            self._meanwhile()
