"""Handles, erasing and writing, call by call, as #7048 and ESP-IDF 5.5 have them; on a twin or a board."""

import random

import pytest

from tests.esp32_ota.board import SECTOR
from tests.esp32_ota.steps import (
    ARG,
    CONFLICT,
    INVALID,
    NOT_FOUND,
    OK,
    RESET,
    SIZE,
    abort,
    begin,
    check,
    end,
    resume,
    whole,
    write,
    write_at,
)


def test_what_begin_and_resume_refuse_and_in_which_order(board):
    more = board.slot_size + 1
    rows = []
    for start in (begin, resume):
        rows += [
            (start("vfs"), ARG),
            (start("otadata", more), ARG),
            (start("ota_0"), CONFLICT),
            (start("ota_0", more), CONFLICT),
            (start("ota_1", more), SIZE),
            (start("ota_1", -3), SIZE),
            (start("ota_1", "1"), "TypeError"),
        ]
    check(board, rows)


def test_handles_are_numbers_from_1_that_are_never_given_out_twice(board):
    check(
        board,
        [
            (begin(name="a", size=1), 1),
            (begin("ota_0"), CONFLICT),
            (resume(name="b"), 2),
            (abort("a"), OK),
            (begin(name="c", size=-2), 3),
            (end("c"), ARG),
            (resume(name="d"), 4),
            (abort("d"), OK),
            (abort("b"), OK),
            # A new life starts from 1 again.
            (RESET, ["ota_0", "ota_0"]),
            (resume(), 1),
        ],
    )


@pytest.mark.parametrize("number", [0, 1, -1, 99])
def test_a_handle_that_was_never_given_out(board, number):
    rows = [
        (write(b"\xe9", number), ARG),
        (write(b"", number), ARG),
        (write_at(0, b"\xe9", number), ARG),
        (end(number), NOT_FOUND),
        (abort(number), NOT_FOUND),
    ]
    check(board, rows)


def test_end_and_abort_free_the_handle_whatever_comes_of_it(board, size):
    check(
        board,
        [
            (begin(size=1), OK),
            (write(b""), OK),
            (end(), ARG),
            (end(), NOT_FOUND),
            (begin(size=1), OK),
            (write(b"\xe9"), OK),
            (end(), INVALID),
            (end(), NOT_FOUND),
            (write(b"\xe9"), ARG),
            (begin(size=1), OK),
            (abort(), OK),
            (abort(), NOT_FOUND),
            (begin(size=size), OK),
            *whole("app", size),
            (end(), OK),
            (abort(), NOT_FOUND),
        ],
    )


def test_an_image_has_to_begin_with_its_magic_but_the_handle_survives(board, size):
    check(
        board,
        [
            (begin(size=size), OK),
            (write(b"\x00"), INVALID),
            (write(b"PK"), INVALID),
            *whole("app", size, offset=False),
            (end(), OK),
            # At an offset nothing is asked: 0xE9 may come last.
            (begin(size=4096), OK),
            (write_at(0, b"\x00"), OK),
        ],
    )


@pytest.mark.parametrize("start", [begin, resume])
def test_writes_up_to_the_last_byte_of_the_slot_and_not_one_more(board, start):
    # Only the last sectors are needed: whole-slot erases belong to another test.
    rows = [(start(size=-2), OK)] if start is begin else [(start(), OK)]
    end_of_slot = board.slot_size
    check(
        board,
        [
            *rows,
            (write_at(end_of_slot - 16, bytes(16)), OK),
            (write_at(end_of_slot - 15, bytes(16)), SIZE),
            (write_at(end_of_slot - 1, bytes(4096)), SIZE),
            (write_at(end_of_slot, b""), OK),
            (write_at(end_of_slot, b"\0"), SIZE),
            (write_at(end_of_slot + 1, b"\0"), ARG),
            (write_at(-1, b"\0"), ARG),
        ],
    )
    sectors = end_of_slot // SECTOR
    board.check_erases("ota_1", {sectors - 1: 1, sectors: 0})


@pytest.mark.parametrize("erase", [0, -1, 1, 4096, 4097, 75_616])
def test_begin_erases_what_it_is_told_rounded_up(board, erase):
    check(board, [(begin(size=erase), OK)])
    count = (erase + SECTOR - 1) // SECTOR if erase > 0 else board.slot_size // SECTOR
    board.check_erases("ota_1", {-1: 0, **dict.fromkeys(range(count), 1), count: 0})


@pytest.mark.parametrize("offset", [True, False])
@pytest.mark.parametrize("erase", [0, -1, -2, "size", "resume"])
@pytest.mark.parametrize("chunk", [4096, 1000, 9000])
def test_every_way_to_write_an_image_ends_in_that_image(board, app, size, erase, chunk, offset):
    start = resume(size=size) if erase == "resume" else begin(size=size if erase == "size" else erase)
    check(board, [(start, OK), *whole("app", size, chunk=chunk, offset=offset), (end(), OK)])
    assert board.holds(board.address["ota_1"], app)
    board.check_erases("ota_1", dict.fromkeys(range(size // SECTOR + 1), 1))


@pytest.mark.parametrize("chunk", [4096, 1024, 1500])
def test_resume_erases_each_sector_once_in_whatever_order_it_is_written(board, app, size, chunk):
    used = size // SECTOR + 1
    old = random.Random(1).randbytes((used + 1) * SECTOR)
    board.load(board.address["ota_1"], old)
    check(board, [(resume(), OK), *whole("app", size, chunk=chunk, order=random.Random(2)), (end(), OK)])
    assert board.holds(board.address["ota_1"], app)
    rest = range(used, board.slot_size // SECTOR)
    board.check_erases("ota_1", dict.fromkeys(range(used), 1) | dict.fromkeys(rest, 0))
    assert board.holds(board.address["ota_1"] + used * SECTOR, old[used * SECTOR :])


def test_after_a_power_cut_resume_writes_only_what_is_missing(board, app, size):
    rows = whole("app", size)
    check(board, [(resume(size=size), OK), *rows[:7]])
    check(board, [(resume(size=size), OK), *rows[7:], (end(), OK)])
    once = dict.fromkeys(range(len(rows)), 1)
    board.check_erases("ota_1", once)
    # All is there: nothing to write, but all to verify.
    check(board, [(resume(size=size), OK), (end(), OK)])
    board.check_erases("ota_1", once)
    assert board.holds(board.address["ota_1"], app)


def test_a_second_handle_erases_again(board, size):
    check(
        board, [(resume(name=name), OK) for name in "ab"] + [(write_at(5, b"1", name), OK) for name in "ab"]
    )
    board.check_erases("ota_1", {0: 2})


def test_blocks_of_another_size_make_no_difference_to_an_update(board, app, size):
    small = {"block_size": 512}
    rows = [(step | small, wanted) for step, wanted in whole("app", size)]
    check(board, [(begin(size=size, **small), OK), *rows, (end() | small, OK)])
    assert board.holds(board.address["ota_1"], app)
