"""A client of an MQTT broker that mends its connection by itself.

Theory of operation. One thread, and no callbacks into the caller's code but the two hooks: the caller asks
`pump` for what came in and says what goes out. Every connection is a new one with a clean session, so nothing
that was queued on a dead connection can reach the broker later, in another order than the caller thinks. What
must survive a broken connection (subscriptions, the retained offer) is made again by this class and by
`on_online`. paho's queue has no bound, so bulk data goes out only while `writable` says that the previous
packet has left.
"""

import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from broker_tools import exits
from broker_tools.broker_url import BrokerUrl
from broker_tools.connection import (
    ANSWER_S,
    BATCH_MAX,
    KEEPALIVE_S,
    TURN_S,
    ConnectError,
    Connection,
    Message,
)
from broker_tools.errors import OtafleetError

BACKOFF_FIRST_S = 0.25
BACKOFF_MAX_S = 10.0


class Client:
    """A publisher's or watcher's client; `open` it before use.

    The hooks run within `pump`: `on_online` after each reconnect, `on_offline` when the line has broken.
    """

    def __init__(
        self,
        broker: BrokerUrl,
        *,
        tls: ssl.SSLContext | None = None,
        on_online: Callable[[], None] | None = None,
        on_offline: Callable[[], None] | None = None,
        keepalive_s: int = KEEPALIVE_S,
    ) -> None:
        """Prepare, without connecting. `tls` replaces the system's certificates for mqtts://.

        A connection that nobody answers on is given up after `keepalive_s` to twice as many seconds.
        """
        self.broker = broker
        self.on_online = on_online
        self.on_offline = on_offline
        self._tls = tls
        self._keepalive_s = keepalive_s
        self._inbox: deque[Message] = deque()
        self._filters: dict[str, int] = {}
        self._connection: Connection | None = None
        self._delay = BACKOFF_FIRST_S
        self._try_at = 0.0

    @property
    def online(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._connection is not None and self._connection.up

    @property
    def writable(self) -> bool:
        """Whether there is a connection, and the operating system has taken all that was published so far."""
        return self._connection is not None and self._connection.writable

    def open(self) -> None:
        """Connect for the first time. Raises OtafleetError (no broker) with one line that says why not."""
        try:
            self._connect()
        except ConnectError as error:
            where = f"no broker at {self.broker}: {error}"
            advice = "start one, or name it with --broker or OTAFLEET_BROKER"
            raise OtafleetError(f"{where}; {advice}", exits.NO_BROKER) from None

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Subscribe now and after each reconnect; wait until the broker has answered.

        Raises OtafleetError when the broker refuses the subscription.
        """
        self.subscribe_all({topic_filter: qos})

    def subscribe_all(self, filters: Mapping[str, int]) -> None:
        """Subscribe as `subscribe` does to several filters with their QoS, in one packet."""
        self._filters |= filters
        try:
            granted = self._connection is None or self._connection.subscribe(filters)
        except ConnectError:
            return  # `pump` will connect and subscribe again.
        if not granted:
            message = f"the broker at {self.broker} refuses a subscription to {next(iter(filters))}"
            raise OtafleetError(f"{message}; check its access rules")

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Take subscriptions back, in one packet; nobody waits for the answer."""
        for topic_filter in filters:
            self._filters.pop(topic_filter, None)
        if self._connection is not None:
            self._connection.unsubscribe(filters)

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> bool:
        """Hand one message to the connection; False when there is none (nothing is kept for later)."""
        connection = self._connection
        return connection is not None and connection.up and connection.publish(topic, payload, qos, retain)

    def pump(self, timeout: float) -> list[Message]:
        """Work until messages are there, `writable` became true or `timeout` seconds are over; return them."""
        deadline = time.monotonic() + timeout
        was_writable = self.writable
        while not self._inbox:
            left = max(0.0, deadline - time.monotonic())
            if self._connection is not None and self._connection.up:
                self._connection.turn(min(left, TURN_S))
            else:
                self._mend(left)
            if left <= 0 or (self.writable and not was_writable):
                break
        return [self._inbox.popleft() for _ in range(min(len(self._inbox), BATCH_MAX))]

    def flush(self, timeout: float = ANSWER_S) -> bool:
        """Work until the broker has acknowledged every QoS 1 message; False if not within `timeout` seconds."""
        connection = self._connection
        return connection is not None and connection.work_until(lambda: connection.answered, timeout)

    def close(self) -> None:
        """Say goodbye to the broker."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        """Connect, log in, subscribe. Raises ConnectError."""
        connection = Connection(self.broker, self._tls, self._inbox, self._keepalive_s)
        if self._filters:
            connection.subscribe(self._filters)
        self._connection = connection
        self._delay = BACKOFF_FIRST_S

    def _mend(self, left: float) -> None:
        """Tell that the line broke, if that is new; reconnect when it is time, else sleep at most `left` s."""
        if self._connection is not None:
            self._connection = None
            self._try_at = time.monotonic() + self._pause()
            if self.on_offline:
                self.on_offline()
        pause = self._try_at - time.monotonic()
        if pause > 0:
            time.sleep(min(pause, left, TURN_S))
            return
        try:
            self._connect()
        except ConnectError:
            self._try_at = time.monotonic() + self._pause()
            return
        if self.on_online:
            self.on_online()

    def _pause(self) -> float:
        """Next pause in seconds; many hosts must not come back to a fresh broker in one instant."""
        delay = self._delay
        self._delay = min(2 * delay, BACKOFF_MAX_S)
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
