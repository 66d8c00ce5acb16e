"""Images of esptool and a genuine firmware go all the way; damaged, short and foreign ones don't; on a twin."""

import random

import pytest

from tests.esp32_ota.board import SECTOR, SLOT, Board
from tests.esp32_ota.steps import (
    CONFIRM,
    INVALID,
    OK,
    PENDING_VERIFY,
    RESET,
    ask,
    begin,
    check,
    end,
    part_of,
    resume,
    whole,
)


def test_damage_after_writing_is_found_by_end_and_by_set_boot(board, size):
    rows = [(resume(), OK), *whole("esp32", size), (end(), OK)]
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


ACCEPTED = {
    23 * 8: "hash_appended from 1 to 0 switches the digest off, and the checksum does not cover the header"
}
"""Bits that can flip without ESP-IDF noticing, and why. The digest in the signed manifest covers them too."""


def test_every_flip_of_a_bit_of_the_frame_is_refused(board, images, size):
    image = images["esp32"]
    frame = list(range(24))
    start = 24
    for _ in range(image[1]):
        frame += range(start, start + 8)
        start += 8 + int.from_bytes(image[start + 4 : start + 8], "little")
    frame += range(size - 33, size)
    rows = [(resume(), OK), *whole("esp32", size), (end(), OK)]
    for bit in (offset * 8 + n for offset in frame for n in range(8)):
        flip = ask("flip", "ota_1", offset=bit // 8, bit=bit % 8)
        rows += [(flip, OK), (resume(), OK), (end(), OK if bit in ACCEPTED else INVALID)]
        rows += [(ask("set_boot", "ota_1"), OK)] if bit in ACCEPTED else []
        rows += [(flip, OK)]
    check(board, rows)


def test_an_image_for_another_chip_is_refused(tmp_path, images):
    board = Board(tmp_path, {"esp32": images["esp32"], "esp32c3": images["esp32c3"]}, {"ota_0": "esp32"})
    rows = whole("esp32c3", len(images["esp32c3"]))
    check(board, [(resume(), OK), *rows, (end(), INVALID), (ask("set_boot", "ota_1"), INVALID)])


def test_truncations_are_refused(board, size):
    rows = [(begin(), OK)]
    for start in range(0, size, SECTOR):
        piece = part_of("esp32", start, min(SECTOR, size - start))
        rows += [(piece, OK), (end(), OK if start + SECTOR >= size else INVALID), (resume(), OK)]
    check(board, rows)


@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c3"])
def test_images_of_esptool_go_all_the_way(tmp_path, images, chip):
    board = Board(tmp_path, {chip: images[chip]}, {"ota_0": chip}, chip=chip)
    go_all_the_way(board, chip, len(images[chip]))


def test_the_genuine_firmware_goes_all_the_way_in_128_kib_of_heap(tmp_path, images):
    board = Board(tmp_path, {"genuine": images["genuine"]}, {"ota_0": "genuine"})
    go_all_the_way(board, "genuine", len(images["genuine"]))
    assert board.read(SLOT["ota_1"], len(images["genuine"])) == images["genuine"]


def go_all_the_way(board, name, size):
    """Write chunks in random order, end, set_boot, boot, confirm."""
    check(
        board,
        [
            (resume(size=size), OK),
            *whole(name, size, order=random.Random(3)),
            (end(), OK),
            (ask("set_boot", "ota_1"), OK),
            (RESET, ["ota_1", "ota_1"]),
            (ask("app_state", "ota_1"), PENDING_VERIFY),
            (CONFIRM, OK),
        ],
    )
    first = SLOT["ota_1"] // SECTOR
    assert {n.erases for n in board.counts[first : first + (size + SECTOR - 1) // SECTOR]} == {1}
