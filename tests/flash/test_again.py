"""A board that was set up before: what it has stays, and what goes wrong is found."""

import json

import pytest

from broker_tools.flash import table, vfs
from tests.flash.setup import IDENTITY, WIFI
from tests.support import downloads
from tests.support.serial_board import SerialBoard

NVS = b"how far the update has come".ljust(0x4000, b"\xff")


def put(board, files):
    """Change files of a board as its user does."""
    place = table.row(table.for_flash(len(board.flash.data)), "vfs")
    volume = vfs.Volume(place.size, bytes(board.flash.data[place.address : place.address + place.size]))
    volume.update(files)
    board.flash.data[place.address : place.address + place.size] = volume.data


@pytest.fixture
def newer(tmp_path):
    path = tmp_path / "newer.bin"
    image = downloads.app(banner=b"# MicroPython v1.29.0 on 2026-09-01\n", size=200_000)
    path.write_bytes(downloads.merged(image=image))
    return path


def test_files_and_nvs_stay_and_one_thing_changes(used, flash, newer, files_of):
    used.flash.data[0x9000:0xD000] = NVS
    used.flash.data[0xD000:0xD020] = bytes(32)
    put(used, {"log.txt": b"precious", "main.py": b"import agent.main\n", "lib/agent/gone.py": b"x"})
    result = flash(used, newer, "--floor", "12")
    assert result.returncode == 0, result.stderr
    files = files_of(used.flash.data)
    config = json.loads(files.read("otafleet/device.json"))
    assert (config["id"], config["floor"], config["wifi"]["ssid"]) == ("kitchen", 12, "twin")
    assert files.read("log.txt") == b"precious"
    assert files.read("main.py") == b"import agent.main\n"
    assert files.read("lib/agent/gone.py") is None
    assert used.flash.data[0x9000:0xD000] == NVS
    assert used.flash.data[0xD000:0xF000] == b"\xff" * 0x2000
    assert b"v1.29.0" in used.flash.data[0x10000:0x50000]
    assert ("erase", 0x8000, 0x1000) not in used.flash.touched


def test_a_boot_py_of_yours_is_kept_under_another_name(used, flash, newer, files_of):
    put(used, {"boot.py": b"import network\n", "main.py": b"print('lamp')\n"})
    result = flash(used, newer)
    assert result.returncode == 0, result.stderr
    files = files_of(used.flash.data)
    assert files.read("boot.py.old") == b"import network\n"
    assert files.read("boot.py").startswith(b'"""The guard,')
    assert "your /boot.py is now /boot.py.old" in result.stdout
    assert "it has to run the agent" in result.stdout


def test_the_comment_that_micropython_leaves_as_boot_py_is_not_kept(used, flash, newer, files_of):
    put(used, {"boot.py": b"# This file is executed on every boot\n#import esp\n"})
    assert flash(used, newer).returncode == 0
    assert files_of(used.flash.data).read("boot.py.old") is None


def test_erase_files_begins_anew(used, flash, newer, files_of):
    put(used, {"log.txt": b"precious"})
    result = flash(used, newer, "--erase-files", "--device", "cellar", *IDENTITY[2:])
    assert result.returncode == 0, result.stderr
    files = files_of(used.flash.data)
    assert files.read("log.txt") is None
    assert json.loads(files.read("otafleet/device.json"))["id"] == "cellar"


def test_an_app_alone_leaves_the_bootloader(used, flash, tmp_path):
    path = tmp_path / "newer.app-bin"
    path.write_bytes(downloads.app(size=100_000))
    used.flash.data[0x1000 + 10] ^= 0xFF
    before = bytes(used.flash.data[0x1000:0x2000])
    result = flash(used, path)
    assert result.returncode == 0, result.stderr
    assert used.flash.data[0x1000:0x2000] == before
    assert used.flash.data[0x10000:].startswith(path.read_bytes())


def test_a_firmware_with_the_agent_in_it_gets_no_copy(flash, tmp_path, files_of):
    path = tmp_path / "ours.bin"
    path.write_bytes(downloads.merged(image=downloads.app(banner=downloads.BANNER + b"# agent/agent.py\0\n")))
    with SerialBoard() as board:
        result = flash(board, path, *IDENTITY, *WIFI)
    assert result.returncode == 0, result.stderr
    files = files_of(board.flash.data)
    assert files.read("lib/agent/agent.mpy") is None
    assert files.read("boot.py") is not None


def test_damaged_files_are_not_touched(used, flash, newer):
    place = table.row(table.for_flash(4 << 20), "vfs")
    for block in (0, 4096):
        used.flash.data[place.address + block + 16 : place.address + block + 4096] = bytes(4080)
    result = flash(used, newer)
    assert result.returncode == 1
    assert "damaged or of another make" in result.stderr
    assert used.flash.touched == []


@pytest.mark.parametrize("place", [0x10100, 0x390010], ids=["app", "files"])
def test_a_flash_that_does_not_keep_what_is_written(flash, download, place):
    with SerialBoard() as board:
        board.flash.stuck.add(place)
        result = flash(board, download, *IDENTITY, *WIFI)
    assert result.returncode == 1
    assert "run the same command again before you use it" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_set_up_that_was_interrupted_is_begun_anew(flash, download, files_of):
    with SerialBoard() as board:
        board.flash.data[0x9000:0xD000] = NVS
        board.unplug_after = 100_000
        result = flash(board, download, *IDENTITY, *WIFI)
        assert result.returncode == 1
        assert "half written" in result.stderr
        assert board.flash.data[0x8000:0x9000] == b"\xff" * 0x1000
        board.unplug_after, board.silent = None, False
        result = flash(board, download, *IDENTITY, *WIFI)
    assert result.returncode == 0, result.stderr
    assert "nvs (erased)" in result.stdout
    assert json.loads(files_of(board.flash.data).read("otafleet/device.json"))["id"] == "kitchen"
