"""An NVS that is gone, or holds what this agent cannot read: the update still ends, and no floor is forgotten."""

import pytest

from broker_tools import exits
from broker_tools.powercut.bench import Bench
from broker_tools.powercut.promises import NEW, broken, ended
from firmware.twin import Twin
from firmware.twin.flash import Flash, PowerCut
from firmware.twin.nvs import BLOB, Nvs
from tests.e2e.images import CRASHES

PHASES = ("confirmed", "offered", "downloading", "verifying", "activating", "rebooting", "testing")
"""Of a device that has been updated before, in the order of its next update."""
NEWER = b"\x02what only an agent of the future can read"
"""A journal of another format: its first byte is the number of the format, and this agent's is 1."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with Bench(tmp_path_factory.mktemp("bench")) as bench:
        bench.rehearse()
        yield bench


@pytest.mark.parametrize("which", [0, -1], ids=["early", "late"])
@pytest.mark.parametrize("phase", PHASES)
def test_the_nvs_is_erased_while_the_power_is_gone(bench, tmp_path, phase, which):
    update = bench.updates[1]
    number = [step.operation.number for step in update.steps if step.phase == phase][which]
    folder = tmp_path / f"{phase}-{number}"
    twin = Twin(update.before)
    nvs = twin.partition("nvs")
    twin.close()

    def erase(line):
        # The twin says this when its bootloader has run, before it looks at the NVS.
        if "after a power cut" in line:
            flash = Flash(folder)
            flash.load(nvs.address, b"\xff" * nvs.size)
            flash.close()

    run = bench.replay(update, folder, [PowerCut(number, number)], erase)
    assert [step.phase for step in run.torn] == [phase]
    assert ended(run.facts) == NEW, list(broken(run.facts))
    assert run.facts.outcome.state["floor"] >= update.release.payload["floor"]


def test_the_journal_of_a_newer_agent(otafleet, make_twin, image, publish, watch):
    kitchen = make_twin()
    seen = watch(kitchen.topic("state"))
    older, newer, bad = image("1.1"), image("1.2"), image("1.3", CRASHES)
    with kitchen:
        otafleet.ok(*publish(older))
        otafleet.ok(*publish(newer, "--floor", "self"))
        assert otafleet.run(*publish(bad, "--confirm-s", "2")).returncode == exits.ROLLED_BACK
    before = seen.expect(kitchen.topic("state"), phase="rolled_back").json
    assert before["floor"] > 0
    twin = Twin(kitchen.folder)
    Nvs(twin.flash, twin.partition("nvs")).set((b"otafleet", b"journal"), BLOB, NEWER)
    twin.close()
    mark = seen.messages.mark()
    with kitchen:
        state = seen.expect(kitchen.topic("state"), after=mark, phase="idle", reason="state_lost").json
        assert (state["n"], state["floor"], state["epoch"]) == (0, before["floor"], before["epoch"])
        assert state["boot"] > before["boot"]
        # Under the terms of before, so that no new signature lifts the quarantine.
        for file, options, reason in ((older, (), "below_floor"), (bad, ("--confirm-s", "2"), "quarantined")):
            refused = otafleet.run(*publish(file, *options))
            assert (refused.returncode, reason in refused.stdout) == (exits.REJECTED, True), refused.stdout
        otafleet.ok(*publish(image("1.4")))


def test_a_bad_image_that_spoils_the_journal_is_not_tried_for_ever(otafleet, kitchen, image, publish):
    spoils = f"""
import machine
from esp32 import NVS
nvs = NVS("otafleet")
nvs.set_blob("journal", {NEWER!r})
nvs.commit()
machine.reset()
""".encode()
    result = otafleet.run(*publish(image("1.1", spoils)))
    assert (result.returncode, "quarantined" in result.stdout) == (exits.REJECTED, True), result.stdout
    otafleet.ok(*publish(image("1.2")))
