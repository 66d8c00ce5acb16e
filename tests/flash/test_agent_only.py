"""The files of a board that is set up are updated through its prompt."""

import json

import pytest

from broker_tools import provision
from broker_tools.flash import table, vfs
from tests.support.repl_board import ReplBoard


def files_in(flash):
    place = table.row(table.for_flash(len(flash)), "vfs")
    return vfs.Volume(place.size, flash[place.address : place.address + place.size])


@pytest.mark.timeout(200)
def test_the_agent_is_replaced_and_the_rest_stays(first, flash, tmp_path):
    old = files_in(first[1])
    old.update({"lib/agent/agent.mpy": b"old", "lib/agent/agent.py": b"x", "log.txt": b"precious"})
    path = tmp_path / "vfs.bin"
    path.write_bytes(old.data)
    with ReplBoard(path) as board:
        result = flash(board, "--agent-only", "--hardware", "rev-c")
    assert result.returncode == 0, result.stderr
    assert "kitchen has its new files" in result.stdout
    assert "/lib/agent/agent.mpy, " in result.stdout
    assert "/lib/agent/link.mpy" not in result.stdout
    new = vfs.Volume(len(old.data), path.read_bytes())
    for name, content in provision.agent_files().items():
        assert new.read(name) == content
    assert new.read("lib/agent/agent.py") is None
    assert new.read("log.txt") == b"precious"
    assert new.read("otafleet/new/boot.py") is None
    config = json.loads(new.read("otafleet/device.json"))
    assert (config["id"], config["hardware"]) == ("kitchen", "rev-c")


@pytest.mark.timeout(200)
@pytest.mark.parametrize(("size", "fits"), [(40_000, True), (100_000, False)])
def test_where_two_agents_have_no_room_the_old_one_goes_first(first, flash, tmp_path, size, fits):
    old = files_in(first[1])
    old.update({"log.txt": bytes(size), "lib/agent/agent.mpy": b"old", "lib/agent/p256.mpy": bytes(90_000)})
    path = tmp_path / "vfs.bin"
    path.write_bytes(old.data)
    with ReplBoard(path) as board:
        result = flash(board, "--agent-only")
    assert "keep the cable in" in result.stdout
    assert ("leave no room for the agent" in result.stderr) is not fits
    assert (result.returncode == 0) is fits
    new = vfs.Volume(len(old.data), path.read_bytes())
    assert all((new.read(name) == data) is fits for name, data in provision.agent_files().items())
    assert new.read("log.txt") == bytes(size)


def test_a_board_that_was_never_set_up(flash, tmp_path):
    path = tmp_path / "vfs.bin"
    path.write_bytes(vfs.Volume(0x70000).data)
    with ReplBoard(path) as board:
        result = flash(board, "--agent-only")
    assert result.returncode == 1
    assert result.stderr.startswith("otafleet: this board has not been set up yet")


def test_a_port_that_is_not_there(flash):
    result = flash("/dev/no-such-port", "--agent-only")
    assert result.returncode == 1
    assert result.stderr.startswith("otafleet: /dev/no-such-port: ")
    assert len(result.stderr.splitlines()) == 1
