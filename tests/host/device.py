"""A device whose every word is chosen by the test: what an agent would do, or what none should."""

import hashlib
import json
from types import TracebackType
from typing import Any, ClassVar, Self

from agent.protocol import index, manifest, offer, want
from agent.protocol.host import topics
from tests.support.watcher import Watcher

FACTORY = "f" * 64
"""Digest of the image that it runs at first."""


def slot(name: str, app_state: str, sha256: str, version: str = "") -> dict[str, Any]:
    """Return one entry of "slots"."""
    return {
        "slot": name,
        "app_state": app_state,
        "sha256": sha256,
        "size": 4096 if sha256 else 0,
        "version": version,
    }


class Device:
    """Speaks the device's side of the protocol over a client of its own. Use it as a context manager."""

    FACTORY_STATE: ClassVar[dict[str, Any]] = {
        "v": 1,
        "epoch": "00c0ffee",
        "protocol": [1],
        "can": ["direct", "store", "https", "http", "raw", "deflate", "ask"],
        "agent": "0.1.0",
        "chip": "esp32",
        "project": "demo",
        "hardware": "",
        "running": "ota_0",
        "slots": [slot("ota_0", "VALID", FACTORY), slot("ota_1", "UNDEFINED", "")],
        "slot_size": 1572864,
        "floor": 0,
        "n": 0,
        "rollout": "",
        "attempt": 0,
        "phase": "idle",
        "reason": "",
        "progress": [0, 0],
        "events": [],
        "clock": 0,
    }

    def __init__(self, url: str, device: str = "kitchen", prefix: str = "fleet") -> None:
        self.id = device
        self.prefix = prefix
        self._mqtt = Watcher(
            url, topics.desired(prefix, device), topics.chunk(prefix, device, "+", 0)[:-3] + "#"
        )
        self._w = 0
        self.boot = 1
        self.k = 0
        self.state: dict[str, Any] = dict(self.FACTORY_STATE)

    def __enter__(self) -> Self:
        self._mqtt.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mqtt.__exit__(kind, error, trace)

    def report(self, phase: str = "", reason: str = "", **fields: Any) -> None:
        """Publish the state, in another phase if one is given."""
        if phase:
            self.k += 1
            fields |= {"phase": phase, "reason": reason}
        self.state |= fields
        message = self.state | {"boot": self.boot, "k": self.k}
        self._mqtt.publish(topics.state(self.prefix, self.id), json.dumps(message), retain=True)

    def ack(self, phase: str, reason: str = "", **fields: Any) -> None:
        """Publish an ack, which is history only."""
        self.k += 1
        message = {name: self.state[name] for name in ("v", "epoch", "n", "rollout", "attempt")}
        message |= {"boot": self.boot, "k": self.k, "phase": phase, "reason": reason}
        message |= {"slot": "ota_0", "app_state": "VALID", "sha256": FACTORY} | fields
        self._mqtt.publish(topics.ack(self.prefix, self.id), json.dumps(message))

    def presence(self, online: bool) -> None:
        """Publish what a device says on connect, or its last will."""
        message = {"boot": self.boot, "conn": 1, "online": online}
        self._mqtt.publish(topics.online(self.prefix, self.id), message, retain=True)

    def desired(self, timeout: float = 10, **fields: Any) -> dict[str, Any]:
        """Wait for a desired message with these fields; its manifest is decoded into "payload"."""
        found = self._mqtt.expect(topics.desired(self.prefix, self.id), timeout, **fields)
        message: dict[str, Any] = {**found.json, **offer.decode(found.payload)}
        if "manifest" in message:
            message["payload"] = manifest.decode(manifest.split(message["manifest"][0])[3])
        return message

    def desired_count(self, **fields: Any) -> int:
        """How many desired messages with these fields have come so far."""
        topic = topics.desired(self.prefix, self.id)
        found = [message.json for message in self._mqtt.messages.items if message.topic == topic]
        return sum(fields.items() <= message.items() for message in found)

    def desired_again(self, seen: int, timeout: float = 20) -> None:
        """Wait until more than `seen` desired messages have come."""
        topic, messages = topics.desired(self.prefix, self.id), self._mqtt.messages
        messages.expect(lambda _: sum(m.topic == topic for m in messages.items) > seen, timeout)

    def take(self, timeout: float = 10, **fields: Any) -> dict[str, Any]:
        """Wait for an offer with these fields and report that it is being downloaded."""
        message = self.desired(timeout, start="now", **fields)
        total = index.chunks(message["payload"]["component"]["size"])
        self.report("downloading", n=message["n"], attempt=message["attempt"], progress=[0, total])
        return message

    def want(
        self,
        n: int,
        content: str,
        chunks: list[list[int]],
        pages: list[int] | None = None,
        w: int | None = None,
    ) -> None:
        """Ask for chunks and index pages."""
        self._w += 1
        payload = want.encode(n, content, self._w if w is None else w, chunks, pages or [])
        self._mqtt.publish(topics.want(self.prefix, self.id), payload, qos=0)

    def mark(self) -> int:
        """A position in what has come, for `chunk` and `page`."""
        return self._mqtt.messages.mark()

    def chunk(self, content: str, number: int, timeout: float = 10, after: int = 0) -> bytes:
        """Wait for one chunk."""
        topic = topics.chunk(self.prefix, self.id, content, number * index.CHUNK)
        return self._mqtt.expect(topic, timeout, after).payload

    def page(self, content: str, number: int, timeout: float = 10) -> bytes:
        """Wait for one index page."""
        return self._mqtt.expect(topics.page(self.prefix, self.id, content, number), timeout).payload

    def arrived(self) -> list[str]:
        """Return the topics of all that has come, in order."""
        return [message.topic for message in self._mqtt.messages.items]

    def fetch(self, message: dict[str, Any]) -> bytes:
        """Fetch the offered image in windows of 16, checking every chunk against the signed index."""
        payload = message["payload"]
        size, content = payload["component"]["size"], payload["content"]
        image = b""
        for page in range(index.pages(size)):
            self.want(message["n"], content, [], [page])
            entries = self.page(content, page)
            assert hashlib.sha256(entries).hexdigest() == payload["index"][page]
            first, count = page * index.INDEX_PAGE, index.page_entries(size, page)
            for start in range(first, first + count, 16):
                window = range(start, min(start + 16, first + count))
                self.want(message["n"], content, [[start, len(window)]])
                for number in window:
                    data = self.chunk(content, number)
                    at = (number - first) * index.INDEX_ENTRY
                    assert index.entry(data) == entries[at : at + index.INDEX_ENTRY]
                    image += data
        return image

    def run_new(self, message: dict[str, Any], app_state: str = "VALID") -> None:
        """Report confirmed from the other slot, as an agent does at the end of a good update."""
        image = message["payload"]["component"]["sha256"]
        slots = [slot("ota_0", "VALID", FACTORY), slot("ota_1", app_state, image)]
        self.report("confirmed", running="ota_1", slots=slots)
