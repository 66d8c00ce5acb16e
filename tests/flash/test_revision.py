"""A firmware for other revisions of the chip than the board's is refused before anything is erased."""

import struct

import pytest

from broker_tools.flash import firmware
from tests.flash.setup import IDENTITY
from tests.support import downloads
from tests.support.images import spoiled
from tests.support.serial_board import SerialBoard

REVISIONS = 15
"""Offset of the lowest and the highest revision in an image's header (esp_app_format.h)."""
ANY = (0, 0xFFFF)


def download(folder, chip="esp32", *, app=ANY, loader=ANY):
    """A complete download whose app and bootloader are for a range of revisions each."""
    old = downloads.bootloader(chip)
    data = downloads.merged(chip, for_revisions(downloads.app(chip), app))
    path = folder / "firmware.bin"
    path.write_bytes(data.replace(old, for_revisions(old, loader), 1))
    return path


def for_revisions(image, revisions):
    return spoiled(image, {REVISIONS: struct.pack("<HH", *revisions)}, reseal=True)


@pytest.mark.parametrize(
    ("app", "loader", "allowed"),
    [
        (ANY, ANY, ANY),
        ((0, 0), (3, 0), (3, 0xFFFF)),  # 0 as the highest is no limit either
        ((100, 399), ANY, (100, 399)),
        ((100, 399), (300, 0xFFFF), (300, 399)),
        ((100, 0xFFFF), (0, 299), (100, 299)),
    ],
)
def test_app_and_bootloader_both_have_to_run_on_the_chip(tmp_path, app, loader, allowed):
    assert firmware.load(download(tmp_path, app=app, loader=loader)).revisions == allowed


def test_an_app_alone_says_it_for_itself(tmp_path):
    path = tmp_path / "firmware.app-bin"
    path.write_bytes(for_revisions(downloads.app(), (100, 399)))
    assert firmware.load(path).revisions == (100, 399)


@pytest.mark.parametrize(
    ("chip", "revision", "images", "words"),
    [
        ("esp32", 101, {"app": (300, 0xFFFF)}, "revision 1.1, {} needs 3.0 or newer: take a build for older chips"),
        ("esp32s3", 2, {"loader": (100, 199)}, "revision 0.2, {} needs 1.0 or newer: take a build for older chips"),
        ("esp32c3", 101, {"app": (3, 99)}, "revision 1.1, {} knows chips up to 0.99: take a newer release"),
    ],
)  # fmt: skip
def test_a_chip_that_the_firmware_does_not_allow(flash, tmp_path, chip, revision, images, words):
    path = download(tmp_path, chip, **images)
    with SerialBoard(chip, revision=revision) as board:
        result = flash(board, path, *IDENTITY)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [f"otafleet: the board's chip is of {words.format(path)}"]
    assert board.flash.touched == []


@pytest.mark.parametrize(
    ("chip", "revision", "app"),
    [("esp32", 301, (301, 301)), ("esp32c3", 109, (109, 0xFFFF)), ("esp32s3", 2, (0, 2))],
)
def test_a_chip_that_it_allows_at_the_very_edge(flash, tmp_path, chip, revision, app):
    path = download(tmp_path, chip, app=app)
    with SerialBoard(chip, revision=revision) as board:
        result = flash(board, path, *IDENTITY, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert f"revision v{revision // 100}.{revision % 100}" in result.stdout
