"""Images of esptool and a genuine firmware go all the way; damaged and foreign ones don't."""

import random

import pytest

from tests.esp32_ota.board import SECTOR, SLOT, Board
from tests.esp32_ota.steps import (
    CONFIRM,
    INVALID,
    OK,
    PENDING_VERIFY,
    RESET,
    RUNNING,
    ask,
    begin,
    check,
    end,
    resume,
    whole,
)
from tests.support.images import build_image

ON_DEMAND = -2
WAYS_TO_START = {
    "erased at once": lambda size: begin(size=size),
    "erased on demand": lambda _: begin(size=ON_DEMAND),
    "resumed": lambda size: resume(size=size),
}


def test_damage_after_writing_is_found_by_end_and_by_set_boot(board, size):
    rows = [(resume(), OK), *whole("app", size), (end(), OK)]
    # Magic, number of segments, chip, first segment's address and length, data, checksum, digest; each is put back.
    for offset, bit in ((0, 0), (1, 2), (12, 3), (24, 2), (28, 1), (300, 7), (size - 33, 0), (size - 1, 7)):
        flip = ask("flip", "ota_1", offset=offset, bit=bit)
        rows += [
            (flip, OK),
            (resume(), OK),
            (end(), INVALID),
            (ask("set_boot", "ota_1"), INVALID),
            (flip, OK),
        ]
    check(board, [*rows, (resume(), OK), (end(), OK)])


def test_an_image_for_another_chip_is_refused(new_board, app, chip, tmp_path):
    other = build_image(tmp_path, "esp32" if chip == "esp32c3" else "esp32c3")
    board = new_board({"app": app, "other": other}, {"ota_0": "app"})
    rows = whole("other", len(other))
    check(board, [(resume(), OK), *rows, (end(), INVALID), (ask("set_boot", "ota_1"), INVALID)])


@pytest.mark.twin_only("it boots an app that does not run on a board")
@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c3"])
@pytest.mark.parametrize("digest", ["", "-nodigest"])
@pytest.mark.parametrize("start", WAYS_TO_START)
def test_images_of_esptool_go_all_the_way(tmp_path, images, chip, digest, start):
    name = chip + digest
    board = Board(tmp_path, {name: images[name]}, {"ota_0": name}, chip=chip)
    go_all_the_way(board, name, len(images[name]), start)


@pytest.mark.twin_only("it boots an app that does not run on a board")
@pytest.mark.parametrize("start", WAYS_TO_START)
def test_the_genuine_firmware_goes_all_the_way_in_128_kib_of_heap(tmp_path, images, start):
    board = Board(tmp_path, {"genuine": images["genuine"]}, {"ota_0": "genuine"})
    go_all_the_way(board, "genuine", len(images["genuine"]), start)
    assert board.read(SLOT["ota_1"], len(images["genuine"])) == images["genuine"]


@pytest.mark.parametrize("start", WAYS_TO_START)
def test_the_running_app_goes_all_the_way(board, start):
    go_all_the_way(board, RUNNING, board.app_size, start)


def go_all_the_way(board, name, size, start):
    """Write chunks in random order, end, set_boot, boot, confirm."""
    check(
        board,
        [
            (WAYS_TO_START[start](size), OK),
            *whole(name, size, order=random.Random(3)),
            (end(), OK),
            (ask("set_boot", "ota_1"), OK),
            (RESET, ["ota_1", "ota_1"]),
            (ask("app_state", "ota_1"), PENDING_VERIFY),
            (CONFIRM, OK),
        ],
    )
    board.check_erases("ota_1", dict.fromkeys(range((size + SECTOR - 1) // SECTOR), 1))
