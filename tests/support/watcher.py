"""An MQTT client that sees everything and can be waited on."""

import json
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.inbox import Inbox


@dataclass(frozen=True)
class Message:
    """One message as it came."""

    topic: str
    payload: bytes
    retain: bool
    qos: int

    @property
    def json(self) -> Any:
        """The payload read as JSON."""
        return json.loads(self.payload)


class Watcher:
    """Subscribes to `filters` at QoS 1, keeps all that comes, and publishes for a test.

    It is paho with its own thread, not the project's client: a fault of that one must not hide here.
    It reconnects and subscribes again by itself.
    """

    def __init__(self, url: str, *filters: str, client_id: str | None = None) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.messages: Inbox[Message] = Inbox(f"messages on {', '.join(filters)}")
        self._filters = filters
        self._subscribed = threading.Event()
        self._published: Inbox[int] = Inbox("packets that the broker took")
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or f"watcher-{uuid4().hex[:12]}",
            protocol=paho.MQTTv311,
        )
        self._client.reconnect_delay_set(0.05, 0.5)  # type: ignore[arg-type]
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_publish = lambda _client, _data, mid, *_: self._published.add(mid)
        self._client.on_message = lambda _client, _data, m: self.messages.add(
            Message(m.topic, bytes(m.payload), m.retain, m.qos)
        )
        self._client.connect(parts.hostname, parts.port or 1883, keepalive=30)

    def _on_connect(self, *_: object) -> None:
        if self._filters:
            self._client.subscribe([(topic_filter, 1) for topic_filter in self._filters])
        else:
            self._subscribed.set()

    def expect(self, topic: str, timeout: float = 10, after: int = 0, **fields: Any) -> Message:
        """Wait for a message on exactly `topic` whose JSON has all of `fields`."""

        def fits(message: Message) -> bool:
            if message.topic != topic:
                return False
            if not fields:
                return True
            try:
                found = message.json
            except ValueError:
                return False
            return isinstance(found, dict) and all(found.get(name) == value for name, value in fields.items())

        return self.messages.expect(fits, timeout, after)

    def publish(
        self, topic: str, payload: bytes | str | dict[str, Any], *, qos: int = 1, retain: bool = False
    ) -> None:
        """Publish, and return when the broker has it (QoS 1) or it is written (QoS 0)."""
        data = json.dumps(payload) if isinstance(payload, dict) else payload
        assert self._subscribed.wait(10), "the watcher is not connected"
        before = self._published.mark()
        mid = self._client.publish(topic, data, qos, retain).mid
        self._published.expect(lambda taken: taken == mid, after=before)

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._subscribed.wait(10), "the watcher could not subscribe"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
