"""A device for the messages of hypothesis: the real agent on a twin, and a mad broker that it listens to."""

import re

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agent.protocol.host.offers import encode_offer, encode_withdrawal
from agent.protocol.limits import CHUNK
from agent.protocol.offer import NOW
from broker_tools import keys
from broker_tools.image import load
from broker_tools.signing import Wish, sign
from broker_tools.store.database import open_engine
from firmware.twin.image import make_image
from tests.fuzz.mad_broker import MadBroker
from tests.fuzz.messages import NEXT, Sent
from tests.support.cli import Otafleet
from tests.support.twin_device import TwinDevice

APP = b"""
import gc
gc.threshold(4096)
from time import ticks_diff, ticks_ms
from agent.agent import Agent
agent = Agent()
told = ticks_ms()
while True:
    agent.step()
    if ticks_diff(ticks_ms(), told) > 300:
        gc.collect()
        print("live", gc.mem_alloc())
        told = ticks_ms()
"""
"""What main.py does, but an exception ends it, and it says how much of the heap is in use."""
HEAP_STAYS = 6144
"""Bytes more at the end than at the beginning: strings of an offer, acks whose answer is still on its way."""
CASES = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # a device that fell once is not worth shrinking for
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Victim:
    """The device with its broker, and one release for it; `n` is the number of the last offer that it was sent."""

    def __init__(self, folder):
        self.broker = MadBroker().__enter__()
        otafleet = Otafleet(folder / "home", self.broker.url)
        otafleet.ok("keys", "new", "release")
        path = folder / "demo-1.1.bin"
        path.write_bytes(make_image(APP, "demo", "1.1", size=6 * CHUNK))
        store = open_engine(f"sqlite:///{otafleet.home / 'otafleet.db'}")
        signer = keys.load_private(otafleet.home, "release")
        self.release, _ = sign(store, load(path), signer, Wish("demo", "1.1", encoding="raw"))
        store.dispose()
        self.twin = TwinDevice(
            folder / "kitchen", otafleet, self.broker.url, app=make_image(APP, "demo", "1.0")
        )
        self.n = 10
        self.offer = encode_offer(NEXT, "", 0, NOW, [self.release.manifest], ["direct"])
        self.twin.on()
        self.broker.subscribed.expect(lambda topic: topic == self.twin.topic("desired"), 20)

    def off(self):
        self.twin.off()
        self.broker.__exit__(None, None, None)

    def is_told(self, message):
        topic = message.topic[1:] if message.topic.startswith("/") else self.twin.topic(message.topic)
        payload = message.payload
        if b"%d" % NEXT in payload:
            self.n += 1
            payload = payload.replace(b"%d" % NEXT, b"%d" % self.n)
        self.broker.say(topic, payload, qos=message.qos, retain=message.retain)

    def again(self):
        """The offer that it holds once more: the host has come back."""
        return self.offer.replace(b"%d" % NEXT, b"%d" % self.n)

    def says(self, leaf, **fields):
        """Wait until the device has said this of its present offer."""
        fields["n"] = self.n
        return self.broker.said.expect(
            lambda said: said.topic == self.twin.topic(leaf) and fields.items() <= said.json.items(), 40
        )

    def live(self):
        """Heap in use after a collection, in bytes."""
        mark = self.twin.console.lines.mark()
        return int(self.twin.console.expect("^live", 10, mark).split()[1])

    def withdraw(self):
        """Take back whatever it was offered."""
        self.is_told(Sent("desired", encode_withdrawal(NEXT, "withdrawn"), 1, True))
        self.says("state", phase="cancelled", reason="withdrawn")

    def withstands(self, *messages, calm=lambda: None):
        """Tell it what hypothesis makes up of `messages`, and require that it stays as it was.

        `calm()` brings it into a phase in which its heap can be compared.
        """
        calm()
        wear, live = self._wear(), self.live()

        @CASES
        @given(st.lists(st.one_of(*messages), min_size=1, max_size=12))
        def told(case):
            try:
                for message in case:
                    self.is_told(message)
                self.broker.digested()
            except (AssertionError, OSError) as error:
                raise AssertionError(self.twin.console.output[-2000:]) from error

        told()
        calm()
        assert self._wear() == wear
        assert self.live() <= live + HEAP_STAYS
        assert not re.search("Traceback|MemoryError|main.py has ended", self.twin.console.output)

    def _wear(self):
        return [self.twin.counts(place) for place in ("ota_0", "ota_1", "otadata")]
