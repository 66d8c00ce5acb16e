"""Boards on serial ports that are not there, and the command with a key in its home."""

import hashlib

import pytest

from broker_tools.flash import table, vfs
from tests.flash.setup import IDENTITY, WIFI
from tests.support import downloads
from tests.support.cli import Otafleet
from tests.support.serial_board import SerialBoard


@pytest.fixture
def flash(tmp_path):
    """Run `otafleet flash`; the home has the key "release"."""
    otafleet = Otafleet(tmp_path / "home")
    otafleet.ok("keys", "new", "release")

    def run(board, *arguments, env=None):
        port = board if isinstance(board, str) else board.port
        result = otafleet.run("flash", port, *arguments, env=env, timeout=110)
        assert "Traceback" not in result.stderr
        return result

    return run


@pytest.fixture
def download(tmp_path):
    """A MicroPython download for ESP32."""
    return downloads.write(tmp_path)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """What the first set-up said, and the flash that it left: it is made once for the tests of a module."""
    folder = tmp_path_factory.mktemp("first")
    otafleet = Otafleet(folder / "home")
    otafleet.ok("keys", "new", "release")
    with SerialBoard() as board:
        # What a board brings from elsewhere.
        board.flash.data[0x9000:0x10000] = hashlib.sha256(b"old").digest() * (0x7000 // 32)
        result = otafleet.run("flash", board.port, downloads.write(folder), *IDENTITY, *WIFI, timeout=110)
    assert result.returncode == 0, result.stderr
    return result, bytes(board.flash.data)


@pytest.fixture
def used(first):
    """A board that was set up before."""
    with SerialBoard() as board:
        board.flash.data[:] = first[1]
        yield board


@pytest.fixture
def files_of():
    """The file system in a flash, opened."""

    def opened(flash):
        place = table.row(table.for_flash(len(flash)), "vfs")
        return vfs.Volume(place.size, bytes(flash[place.address : place.address + place.size]))

    return opened
