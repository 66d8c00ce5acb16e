"""No `step()` of a whole update does more to flash than one sector's erase and write, but for the long steps."""

from dataclasses import dataclass, field

import pytest

from broker_tools.powercut.device import NVS, Watched
from tests.e2e.conftest import image, key, make_twin, publish
from tests.e2e.images import COLLECTS

__all__ = ["image", "key", "make_twin", "publish"]

SECTOR = 4096
SIZE = 150_000
"""Bytes of the images: several windows."""
MARKS = "vfs"
"""A partition that a twin never writes: its files lie in a folder. The device marks the end of each step in it."""
ANNOUNCED = ("", "connect", "fetch", "set_boot", "reboot")
"""What `before()` announced in a step; the mark of that step lies at its place in this list."""
APP = COLLECTS + (
    b"""
from time import sleep_ms
from agent.agent import Agent
from agent.app import App
from esp32 import Partition

ANNOUNCED = %s
marks = Partition.find(Partition.TYPE_DATA, label="vfs")[0]
announced = ""

class Counted(App):
    def before(self, step):
        global announced
        announced = step
        return 0

def mark():
    marks.writeblocks(0, bytes(1), ANNOUNCED.index(announced))

mark()  # what the boot loader did
agent = Agent(app=Counted())
mark()
while True:
    announced = ""
    busy = agent.step()
    mark()
    if not busy:
        sleep_ms(5)
"""
    % repr(ANNOUNCED).encode()
)


@dataclass
class OneStep:
    """What one `step()` did."""

    announced: str = ""
    erased: list[str] = field(default_factory=list)
    """The partition of each erase."""
    written: dict[str, int] = field(default_factory=dict)
    """Bytes, by partition."""


def taken(watched):
    """The steps that the device took, from the operations on its flash and the marks among them."""
    steps = [OneStep()]
    for operation in watched.steps:
        now = steps[-1]
        if operation.place == MARKS:
            now.announced = ANNOUNCED[operation.offset]
            steps.append(OneStep())
        elif operation.operation.is_erase:
            now.erased.append(operation.place)
        else:
            now.written[operation.place] = now.written.get(operation.place, 0) + operation.operation.size
    return steps


@pytest.fixture
def steps(otafleet, make_twin, image, publish):
    """Every step of two updates: the second one finds a record of its slot in otadata."""
    kitchen = make_twin(app=image("1.0", APP).read_bytes())
    with Watched(kitchen.folder) as watched:
        for version in ("1.1", "1.2"):
            otafleet.ok(*publish(image(version, APP, size=SIZE)))
    return taken(watched)


def test_no_step_does_more_than_one_sector(steps):
    with_a_chunk = [step for step in steps if "ota_0" in step.written or "ota_1" in step.written]
    assert len(with_a_chunk) > SIZE // SECTOR
    for step in steps:
        if step.announced == "set_boot":
            continue
        assert len([place for place in step.erased if place != NVS]) <= 1, step
        assert sum(length for place, length in step.written.items() if place != NVS) <= SECTOR, step
    # The journal is in NVS. Only when that is full does a write erase there too; a chunk has no part in it.
    assert not any(NVS in step.written for step in with_a_chunk)


def test_what_the_long_steps_do_is_announced(steps):
    booted = [step for step in steps if step.announced == "set_boot"]
    assert [step.written["otadata"] for step in booted] == [32, 32]
    assert all(step.erased and step.written[NVS] for step in booted)
    # Each boot connects once; a connection writes nothing of its own.
    assert len([step for step in steps if step.announced == "connect"]) >= 3
