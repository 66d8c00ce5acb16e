"""What the agent takes of a heap: all of it, for a whole update, and for each chunk.

A twin's heap is that of a 64-bit machine, where an object takes about twice what it takes on a chip.
"""

import pytest

from broker_tools import twins
from tests.support.testdata import genuine_firmware
from tests.support.twin_device import TwinDevice

LEAST = "118k"
"""The least heap, the twin's own share apart, in which the genuine image comes raw by `direct`, and 4 KB more."""
CHUNK_MAX = {"direct": 960, "store": 2304}
"""Bytes that the agent takes from the heap for each chunk, its share of asking for it included."""
CHUNKS = 48
FIRST = 40
"""Chunks after which the window has grown."""

# The collector is off while CHUNKS of them arrive. What a write takes is the twin's own: its wire to the flash.
COUNTS = f"""
import gc
from agent.agent import Agent
from agent.app import App

class Counts(App):
    def status(self, phase, reason):
        if phase == "downloading":
            from agent.download import Download
            from agent.esp32_ota.handles import Handle
            receive = Download.receive
            write = Handle.write
            began = None
            written = 0

            def counted(self, *rest):
                nonlocal written
                before = gc.mem_alloc()
                write(self, *rest)
                written += gc.mem_alloc() - before

            def received(self, address, payload):
                nonlocal began, written
                needed = receive(self, address, payload)
                if self.done == {FIRST}:
                    gc.collect()
                    gc.disable()
                    written = 0
                    began = gc.mem_alloc()
                elif self.done == {FIRST + CHUNKS}:
                    print("a chunk takes", (gc.mem_alloc() - began - written) // {CHUNKS})
                    gc.enable()
                return needed

            Handle.write = counted
            Download.receive = received

gc.threshold(4096)
Agent(app=Counts()).run()
""".encode()


@pytest.fixture
def publish(otafleet):
    """Publish to kitchen and return what was said."""
    otafleet.ok("keys", "new", "release")

    def run(file, *more):
        arguments = ("publish", file, "--key", "release", "--device", "kitchen", "--timeout", "60", *more)
        return otafleet.ok(*arguments, timeout=110)

    return run


@pytest.mark.parametrize("delivery", ["direct", "store"])
def test_a_chunk_takes_no_more_of_the_heap(otafleet, broker, publish, tmp_path, delivery):
    file = tmp_path / "app.bin"
    file.write_bytes(twins.image(None, "demo", "2.0", size=4096 * (FIRST + CHUNKS + 20)))
    app = twins.image(COUNTS, "demo", "1.0")
    with TwinDevice(tmp_path / "kitchen", otafleet, broker.url, app=app, heap="512k") as kitchen:
        publish(file, "--delivery", delivery)
        taken = int(kitchen.console.expect("^a chunk takes ").split()[-1])
    assert 0 < taken <= CHUNK_MAX[delivery]


def test_the_genuine_image_in_the_least_heap(otafleet, broker, publish, tmp_path):
    file = genuine_firmware()
    with TwinDevice(tmp_path / "kitchen", otafleet, broker.url, heap=LEAST) as kitchen:
        publish(file, "--project", "demo", "--version", "1.16", "--encoding", "raw", "--delivery", "direct")
        assert "MemoryError" not in kitchen.console.output
