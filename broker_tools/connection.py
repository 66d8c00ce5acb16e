"""One connection to an MQTT broker, from TCP connect to its end. It never comes back: `client` makes a new one."""

import secrets
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from broker_tools.broker_url import BrokerUrl
from broker_tools.errors import os_reason

KEEPALIVE_S = 20
"""Keepalive in seconds. Never 0: rumqttd refuses a CONNECT with keepalive 0."""
ANSWER_S = 5.0
"""Longest wait for a TCP connect, a CONNACK, a SUBACK or a PUBACK, in seconds."""
TURN_S = 0.25
"""Longest sleep in one turn of the loop, in seconds: the keepalive is looked at that often."""
BATCH_MAX = 256
"""Messages that are taken in at most before somebody reads them; the rest waits in TCP, so a flood cannot
fill the memory."""


class Message(NamedTuple):
    """What came in. `retained`: the broker had kept it, so it says nothing about when it was sent."""

    topic: str
    payload: bytes
    retained: bool


class ConnectError(Exception):
    """There is no connection; str() is the reason in a few words."""


class _SelfClosing(ssl.SSLSocket):
    """A socket that closes when its handshake fails: paho would forget it open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except (OSError, ValueError):
            self.close()
            raise


class Connection:
    """A connection that is `up` until something breaks it. Messages are appended to `inbox`."""

    def __init__(
        self,
        broker: BrokerUrl,
        tls: ssl.SSLContext | None,
        inbox: deque[Message],
        keepalive_s: int = KEEPALIVE_S,
    ) -> None:
        """Connect and log in. Raises ConnectError."""
        self._inbox = inbox
        self._unanswered: set[int] = set()
        self._refused = False
        self._connack: ReasonCode | None = None
        self._paho = self._prepare(broker, tls)
        self._socket = self._dial(broker, keepalive_s)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self.up = True
        self.work_until(lambda: self._connack is not None, ANSWER_S)
        answer = self._connack
        if answer is None or answer.is_failure:
            closed = not self.up
            self.close()
            if answer is None:
                raise ConnectError(
                    "it closed the connection" if closed else "it does not answer as an MQTT broker"
                )
            advice = "set user and password" if broker.user is None else "check user and password"
            raise ConnectError(f"it refuses the login ({answer}); {advice}")

    @property
    def writable(self) -> bool:
        """Whether the operating system has taken all that was published so far."""
        return self.up and not self._paho.want_write()

    @property
    def answered(self) -> bool:
        """Whether the broker has acknowledged every QoS 1 message and subscription."""
        return not self._unanswered and self.writable

    def subscribe(self, filters: Mapping[str, int]) -> bool:
        """Subscribe to filters with their QoS in one packet; True when the broker grants all of them.

        Raises ConnectError when it does not answer.
        """
        _, mid = self._paho.subscribe(list(filters.items()))
        if mid is not None:
            self._refused = False
            self._unanswered.add(mid)
            if self.work_until(lambda: mid not in self._unanswered, ANSWER_S):
                return not self._refused
        self.close()
        raise ConnectError("it does not answer a subscription")

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Take subscriptions back in one packet."""
        self._paho.unsubscribe(list(filters))

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> bool:
        """Hand one message to the socket; False when the connection has broken."""
        info = self._paho.publish(topic, payload, qos=qos, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self.close()
            return False
        if qos:
            self._unanswered.add(info.mid)
        return True

    def work_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Read and write until `done()`; False when it breaks or `timeout` seconds are over first."""
        deadline = time.monotonic() + timeout
        while not done():
            left = deadline - time.monotonic()
            if left <= 0 or not self.up:
                return False
            self.turn(min(left, TURN_S))
        return True

    def turn(self, wait: float) -> None:
        """Wait at most `wait` seconds for the socket, read and write what it takes, look after the keepalive."""
        want_write = self._paho.want_write()
        self._selector.modify(
            self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if want_write else 0)
        )
        ready = self._ready(wait)
        for _ in range(BATCH_MAX if ready & selectors.EVENT_READ else 0):
            self._paho.loop_read()
            if self._paho.socket() is None or not self._ready(0) & selectors.EVENT_READ:
                break
        if ready & selectors.EVENT_WRITE and self._paho.socket() is not None:
            self._paho.loop_write()
        self._paho.loop_misc()
        if self._paho.socket() is None:
            self.close()

    def close(self) -> None:
        """Say goodbye, so that the broker does not take the silence for a failure, and let the socket go."""
        if not self.up:
            return
        self.up = False
        self._selector.close()
        if self._paho.socket() is not None:
            self._paho.disconnect()
        self._socket.close()

    # -- the beginning -----------------------------------------------------------------------------------------

    def _prepare(self, broker: BrokerUrl, tls: ssl.SSLContext | None) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"otafleet-{secrets.token_hex(6)}",
            protocol=paho.MQTTv311,
        )
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.connect_timeout = ANSWER_S
        if broker.user is not None:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls:
            context = tls or ssl.create_default_context()
            context.sslsocket_class = _SelfClosing
            client.tls_set_context(context)
        return client

    def _dial(self, broker: BrokerUrl, keepalive_s: int) -> socket.socket:
        try:
            self._paho.connect(broker.host, broker.port, keepalive_s)
        except ssl.SSLCertVerificationError as error:
            raise ConnectError(f"its certificate is refused ({error.verify_message})") from None
        except ssl.SSLError as error:
            raise ConnectError(f"no TLS connection ({error.reason or 'closed'})") from None
        except (OSError, UnicodeError) as error:
            # UnicodeError: a host name that cannot be one, such as "a..b".
            reason = os_reason(error) if isinstance(error, OSError) else "bad host name"
            raise ConnectError(reason) from None
        sock = self._paho.socket()
        if not isinstance(sock, socket.socket):
            raise ConnectError("it closed the connection")
        # Small control messages must not wait for the ACK of the chunk before them (Nagle, 40 ms).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _ready(self, wait: float) -> int:
        """What the socket is ready for within `wait` seconds, as a mask of selectors.EVENT_*."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            # TLS has decrypted more than was read; the operating system does not know of it.
            return selectors.EVENT_READ
        mask = 0
        for _, ready in self._selector.select(wait):
            mask |= ready
        return mask

    # -- what paho calls ---------------------------------------------------------------------------------------

    def _on_connect(
        self,
        _client: paho.Client,
        _data: object,
        _flags: object,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._connack = reason

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # MQTT forbids it, yet not every broker checks; no topic of ours has such a name.
        self._inbox.append(Message(topic, bytes(message.payload), message.retain))

    def _on_subscribe(
        self,
        _client: paho.Client,
        _data: object,
        mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self._refused = any(reason.is_failure for reason in reasons)
        self._unanswered.discard(mid)

    def _on_publish(
        self,
        _client: paho.Client,
        _data: object,
        mid: int,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._unanswered.discard(mid)
