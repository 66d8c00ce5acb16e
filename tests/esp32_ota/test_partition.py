"""Partition's functions, call by call, as #7048 and ESP-IDF 5.5 have them; on a twin."""

import random

import pytest

from agent.esp32_ota import image, otadata
from tests.esp32_ota.board import OTADATA, SECTOR, SLOT, Board
from tests.esp32_ota.steps import (
    CAN_ROLL_BACK,
    CONFIRM,
    OK,
    RESET,
    ROLL_BACK,
    SLOT_SIZE,
    abort,
    ask,
    begin,
    check,
    end,
    part_of,
    resume,
    whole,
    write,
    write_at,
)

ARG = "ESP_ERR_INVALID_ARG"
STATE = "ESP_ERR_INVALID_STATE"
SIZE = "ESP_ERR_INVALID_SIZE"
NOT_FOUND = "ESP_ERR_NOT_FOUND"
NOT_SUPPORTED = "ESP_ERR_NOT_SUPPORTED"
CONFLICT = "ESP_ERR_OTA_PARTITION_CONFLICT"
INVALID = "ESP_ERR_OTA_VALIDATE_FAILED"
NO_WAY_BACK = "ESP_ERR_OTA_ROLLBACK_FAILED"
PENDING = "ESP_ERR_OTA_ROLLBACK_INVALID_STATE"
NEW, PENDING_VERIFY, VALID, INVALID_STATE, ABORTED, UNDEFINED = 0, 1, 2, 3, 4, -1


@pytest.fixture(scope="module")
def size(images):
    return len(images["esp32"])


@pytest.fixture
def board(tmp_path, images):
    """ota_0 runs and is VALID (the bootloader has written its record); ota_1 is erased."""
    return Board(tmp_path / "board", {"esp32": images["esp32"]}, {"ota_0": "esp32"})


@pytest.fixture
def updated(tmp_path, images):
    """Like `board`, with an image in ota_1 too."""
    return Board(tmp_path / "board", {"esp32": images["esp32"]}, {"ota_0": "esp32", "ota_1": "esp32"})


def test_what_begin_and_resume_refuse_and_in_which_order(board):
    rows = []
    for start in (begin, resume):
        rows += [
            (start("vfs"), ARG),
            (start("otadata", SLOT_SIZE + 1), ARG),
            (start("ota_0"), CONFLICT),
            (start("ota_0", SLOT_SIZE + 1), CONFLICT),
            (start("ota_1", SLOT_SIZE + 1), SIZE),
            (start("ota_1", -3), SIZE),
            (start("ota_1", "1"), "TypeError"),
        ]
    check(board, rows)


def test_an_unconfirmed_app_must_not_begin_an_update(updated):
    check(
        updated,
        [
            (ask("set_boot", "ota_1"), OK),
            (RESET, ["ota_1", "ota_1"]),
            (begin("ota_1"), CONFLICT),
            (begin("ota_0"), PENDING),
            (begin("ota_0", SLOT_SIZE + 1), PENDING),
            (resume("ota_0"), PENDING),
            (CONFIRM, OK),
            (begin("ota_0", 1), OK),
        ],
    )


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
            *whole("esp32", size),
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
            *whole("esp32", size, offset=False),
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
    check(
        board,
        [
            *rows,
            (write_at(SLOT_SIZE - 16, bytes(16)), OK),
            (write_at(SLOT_SIZE - 15, bytes(16)), SIZE),
            (write_at(SLOT_SIZE - 1, bytes(4096)), SIZE),
            (write_at(SLOT_SIZE, b""), OK),
            (write_at(SLOT_SIZE, b"\0"), SIZE),
            (write_at(SLOT_SIZE + 1, b"\0"), ARG),
            (write_at(-1, b"\0"), ARG),
        ],
    )
    assert board.counts[(SLOT["ota_1"] + SLOT_SIZE) // SECTOR - 1].erases == 1
    assert board.counts[(SLOT["ota_1"] + SLOT_SIZE) // SECTOR].erases == 0


@pytest.mark.parametrize("erase", [0, -1, 1, 4096, 4097, 75_616])
def test_begin_erases_what_it_is_told_rounded_up(board, erase):
    check(board, [(begin(size=erase), OK)])
    first = SLOT["ota_1"] // SECTOR
    count = (erase + SECTOR - 1) // SECTOR if erase > 0 else SLOT_SIZE // SECTOR
    assert [n.erases for n in board.counts[first : first + count]] == [1] * count
    assert board.counts[first - 1].erases == board.counts[first + count].erases == 0


@pytest.mark.parametrize("offset", [True, False])
@pytest.mark.parametrize("erase", [0, -1, -2, "size", "resume"])
@pytest.mark.parametrize("chunk", [4096, 1000, 9000])
def test_every_way_to_write_an_image_ends_in_that_image(board, images, size, erase, chunk, offset):
    start = resume(size=size) if erase == "resume" else begin(size=size if erase == "size" else erase)
    check(board, [(start, OK), *whole("esp32", size, chunk=chunk, offset=offset), (end(), OK)])
    assert board.read(SLOT["ota_1"], size) == images["esp32"]
    used = slice(SLOT["ota_1"] // SECTOR, (SLOT["ota_1"] + size) // SECTOR + 1)
    assert {n.erases for n in board.counts[used]} == {1}


@pytest.mark.parametrize("chunk", [4096, 1024, 1500])
def test_resume_erases_each_sector_once_in_whatever_order_it_is_written(board, images, size, chunk):
    old = random.Random(1).randbytes(SLOT_SIZE)
    board.load(SLOT["ota_1"], old)
    check(board, [(resume(), OK), *whole("esp32", size, chunk=chunk, order=random.Random(2)), (end(), OK)])
    assert board.read(SLOT["ota_1"], size) == images["esp32"]
    first = SLOT["ota_1"] // SECTOR
    used = size // SECTOR + 1
    assert {n.erases for n in board.counts[first : first + used]} == {1}
    assert {n.erases for n in board.counts[first + used : first + SLOT_SIZE // SECTOR]} == {0}
    assert board.read(SLOT["ota_1"] + used * SECTOR, SECTOR) == old[used * SECTOR :][:SECTOR]


def test_after_a_power_cut_resume_writes_only_what_is_missing(board, images, size):
    rows = whole("esp32", size)
    check(board, [(resume(size=size), OK), *rows[:7]])
    check(board, [(resume(size=size), OK), *rows[7:], (end(), OK)])
    first = SLOT["ota_1"] // SECTOR
    assert {n.erases for n in board.counts[first : first + len(rows)]} == {1}
    # All is there: nothing to write, but all to verify.
    check(board, [(resume(size=size), OK), (end(), OK)])
    assert {n.erases for n in board.counts[first : first + len(rows)]} == {1}
    assert board.read(SLOT["ota_1"], size) == images["esp32"]


def test_a_second_handle_erases_again(board, size):
    check(
        board, [(resume(name=name), OK) for name in "ab"] + [(write_at(5, b"1", name), OK) for name in "ab"]
    )
    assert board.counts[SLOT["ota_1"] // SECTOR].erases == 2


def test_end_leaves_what_boots_alone_and_set_boot_changes_it(board, size):
    check(
        board,
        [
            (begin(size=size), OK),
            *whole("esp32", size),
            (end(), OK),
            (ask("app_state", "ota_1"), NOT_FOUND),
            (ask("set_boot", "ota_1"), OK),
            (ask("app_state", "ota_1"), NEW),
            (ask("app_state", "ota_0"), VALID),
            (RESET, ["ota_1", "ota_1"]),
            (ask("app_state", "ota_1"), PENDING_VERIFY),
            (CONFIRM, OK),
            (CONFIRM, OK),
            (ask("app_state", "ota_1"), VALID),
            (RESET, ["ota_1", "ota_1"]),
        ],
    )


def test_an_app_that_is_not_confirmed_is_rolled_back_by_the_next_reset(updated):
    check(
        updated,
        [
            (ask("set_boot", "ota_1"), OK),
            (RESET, ["ota_1", "ota_1"]),
            (RESET, ["ota_0", "ota_0"]),
            (ask("app_state", "ota_1"), ABORTED),
            (ask("app_state", "ota_0"), VALID),
        ],
    )


def test_marking_the_app_invalid_resets_into_the_other_one(updated):
    check(
        updated,
        [
            (CAN_ROLL_BACK, False),
            (ROLL_BACK, NO_WAY_BACK),
            (ask("set_boot", "ota_1"), OK),
            (RESET, ["ota_1", "ota_1"]),
            (CAN_ROLL_BACK, True),
            (ROLL_BACK, "esp_restart()"),
            (RESET, ["ota_0", "ota_0"]),
            (ask("app_state", "ota_1"), INVALID_STATE),
            (ask("set_boot", "ota_1"), OK),
            (RESET, ["ota_1", "ota_1"]),
            (CONFIRM, OK),
            (ROLL_BACK, "esp_restart()"),
            (RESET, ["ota_0", "ota_0"]),
        ],
    )


def test_no_rollback_to_an_app_that_is_damaged(updated):
    check(
        updated,
        [
            (ask("set_boot", "ota_1"), OK),
            (RESET, ["ota_1", "ota_1"]),
            (ask("flip", "ota_0", offset=70_000, bit=3), OK),
            (CAN_ROLL_BACK, False),
            (ROLL_BACK, NO_WAY_BACK),
            (ask("app_state", "ota_1"), PENDING_VERIFY),
        ],
    )


def test_only_the_app_that_runs_is_confirmed(updated):
    # set_boot has named the other slot, which has not run yet.
    answers = check(
        updated, [(ask("set_boot", "ota_1"), OK), (CONFIRM, STATE), (ask("app_state", "ota_1"), NEW)]
    )
    assert answers[0]["otadata"] == answers[2]["otadata"]
    # The bootloader could not load it and has fallen back, which otadata does not say.
    updated.load(SLOT["ota_1"] + 70_000, bytes(8))
    check(
        updated,
        [
            (RESET, ["ota_0", "ota_1"]),
            (ask("app_state", "ota_1"), PENDING_VERIFY),
            (CONFIRM, STATE),
            (ask("app_state", "ota_1"), PENDING_VERIFY),
            # This app is not the one on trial: it may update, and it may dismiss the other.
            (resume(), OK),
            (ask("app_state", "ota_1"), NOT_FOUND),
            (CONFIRM, OK),
        ],
    )


@pytest.mark.parametrize("start", [begin, resume])
def test_no_record_names_a_slot_that_is_being_written(updated, start):
    check(
        updated,
        [
            # An old record: the slot ran once and was left.
            (ask("set_boot", "ota_1"), OK),
            (RESET, ["ota_1", "ota_1"]),
            (CONFIRM, OK),
            (ask("set_boot", "ota_0"), OK),
            (RESET, ["ota_0", "ota_0"]),
            (CONFIRM, OK),
            (ask("app_state", "ota_1"), VALID),
            (CAN_ROLL_BACK, True),
            (start(size=1), OK),
            (ask("app_state", "ota_1"), NOT_FOUND),
            (CAN_ROLL_BACK, False),
            (ask("app_state", "ota_0"), VALID),
            (RESET, ["ota_0", "ota_0"]),
        ],
    )


@pytest.mark.parametrize("start", [begin, resume])
def test_an_update_of_the_slot_that_set_boot_has_named_can_still_be_rolled_back(updated, start, size):
    # ESP-IDF 5.5 writes the second set_boot over the record of the running app; nothing would be left to go back to.
    check(
        updated,
        [
            (ask("set_boot", "ota_1"), OK),
            (start(size=size), OK),
            (ask("app_state", "ota_1"), NOT_FOUND),
            (ask("app_state", "ota_0"), VALID),
            *whole("esp32", size),
            (end(), OK),
            (ask("set_boot", "ota_1"), OK),
            (ask("app_state", "ota_0"), VALID),
            (RESET, ["ota_1", "ota_1"]),
            (RESET, ["ota_0", "ota_0"]),
        ],
    )


def test_states_and_descriptions_of_every_kind_of_partition(board, images):
    described = image.descriptor(lambda offset, length: images["esp32"][offset : offset + length])
    told = [*described[:6], described[6].hex()]
    check(
        board,
        [
            (ask("app_state", "ota_0"), VALID),
            (ask("app_state", "ota_1"), NOT_FOUND),
            (ask("app_state", "vfs"), NOT_SUPPORTED),
            (ask("app_description", "ota_0"), told),
            (ask("app_description", "ota_1"), NOT_FOUND),
            (ask("app_description", "nvs"), NOT_SUPPORTED),
            (ask("app_description", "ota_0", block_size=512), told),
            (ask("get_next_update", "ota_0"), "ota_1"),
            (ask("get_next_update", "ota_1"), "ota_0"),
            (ask("get_next_update", "vfs"), "ota_0"),
            (ask("info", "ota_1", block_size=512), [0, 17, SLOT["ota_1"], SLOT_SIZE, "ota_1", False]),
            (ask("info", "no such"), "ENOENT"),
        ],
    )


@pytest.mark.parametrize(
    ("state", "value"),
    [
        (0, NEW),
        (2, VALID),
        (3, INVALID_STATE),
        (4, ABORTED),
        (0xFFFFFFFF, UNDEFINED),
        (0x80000000, -(1 << 31)),
    ],
)
def test_every_state_that_a_record_can_hold(board, state, value):
    board.load(OTADATA, otadata.pack(1, otadata.VALID))
    board.load(OTADATA + SECTOR, otadata.pack(2, state))
    # Record 1 names ota_1, which is empty: ota_0 boots in any case. A NEW one is put on trial by that boot.
    check(board, [(ask("app_state", "ota_1"), PENDING_VERIFY if state == otadata.NEW else value)])


def test_the_first_sound_record_of_a_slot_counts_even_if_another_is_newer(board):
    board.load(OTADATA, otadata.pack(1, otadata.VALID))
    board.load(OTADATA + SECTOR, otadata.pack(3, otadata.ABORTED))
    check(board, [(ask("app_state", "ota_0"), VALID)])
    board.load(OTADATA, b"\0")
    check(board, [(ask("app_state", "ota_0"), ABORTED)])


def test_blocks_of_another_size_make_no_difference_to_an_update(board, images, size):
    small = {"block_size": 512}
    rows = [(step | small, wanted) for step, wanted in whole("esp32", size)]
    check(board, [(begin(size=size, **small), OK), *rows, (end() | small, OK)])
    assert board.read(SLOT["ota_1"], size) == images["esp32"]


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


def test_a_bootloader_without_rollback_leaves_the_app_new(tmp_path, images):
    slots = {"ota_0": "esp32", "ota_1": "esp32"}
    board = Board(tmp_path, {"esp32": images["esp32"]}, slots, rollback=False)
    check(
        board,
        [
            (ask("set_boot", "ota_1"), OK),
            (RESET, ["ota_1", "ota_1"]),
            (ask("app_state", "ota_1"), NEW),
            (RESET, ["ota_1", "ota_1"]),
            (ROLL_BACK, "esp_restart()"),
            (RESET, ["ota_0", "ota_0"]),
        ],
    )
