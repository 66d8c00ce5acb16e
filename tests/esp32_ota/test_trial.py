"""What boots, what is confirmed and what is rolled back: records, states and the bootloader; on a twin or a board."""

import pytest

from agent.esp32_ota import image, otadata
from tests.esp32_ota.board import SECTOR, Board
from tests.esp32_ota.steps import (
    ABORTED,
    CAN_ROLL_BACK,
    CONFIRM,
    CONFLICT,
    INVALID_STATE,
    NEW,
    NO_WAY_BACK,
    NOT_FOUND,
    NOT_SUPPORTED,
    OK,
    PENDING,
    PENDING_VERIFY,
    RESET,
    ROLL_BACK,
    RUNNING,
    STATE,
    UNDEFINED,
    VALID,
    ask,
    begin,
    check,
    end,
    resume,
    whole,
)


def test_an_unconfirmed_app_must_not_begin_an_update(updated):
    check(
        updated,
        [
            (ask("set_boot", "ota_1"), OK),
            (RESET, ["ota_1", "ota_1"]),
            (begin("ota_1"), CONFLICT),
            (begin("ota_0"), PENDING),
            (begin("ota_0", updated.slot_size + 1), PENDING),
            (resume("ota_0"), PENDING),
            (CONFIRM, OK),
            (begin("ota_0", 1), OK),
        ],
    )


def test_end_leaves_what_boots_alone_and_set_boot_changes_it(board):
    check(
        board,
        [
            (begin(size=board.app_size), OK),
            *whole(RUNNING, board.app_size),
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
            # The next update wipes that away.
            (resume(), OK),
            (ask("app_state", "ota_1"), NOT_FOUND),
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


@pytest.mark.twin_only("it damages the slot that the board's own firmware is in")
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
    updated.load(updated.address["ota_1"] + 70_000, b"damaged!")
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
def test_an_update_of_the_slot_that_set_boot_has_named_can_still_be_rolled_back(updated, start):
    # ESP-IDF 5.5 writes the second set_boot over the record of the running app; nothing would be left to go back to.
    check(
        updated,
        [
            (ask("set_boot", "ota_1"), OK),
            (start(size=updated.app_size), OK),
            (ask("app_state", "ota_1"), NOT_FOUND),
            (ask("app_state", "ota_0"), VALID),
            *whole(RUNNING, updated.app_size),
            (end(), OK),
            (ask("set_boot", "ota_1"), OK),
            (ask("app_state", "ota_0"), VALID),
            (RESET, ["ota_1", "ota_1"]),
            (RESET, ["ota_0", "ota_0"]),
        ],
    )


def test_of_two_records_with_one_number_the_first_is_the_active_one(board):
    # As ESP-IDF 5.5 leaves them when set_boot names the slot that is named already.
    board.load(board.address["otadata"], otadata.pack(1, otadata.VALID))
    board.load(board.address["otadata"] + SECTOR, otadata.pack(1, otadata.UNDEFINED))
    answers = check(board, [(ROLL_BACK, "esp_restart()"), (RESET, ["ota_0", "ota_0"])])
    after = [otadata.parse(bytes.fromhex(record)) for record in answers[1]["otadata"].split()]
    assert [record[2] for record in after] == [otadata.INVALID, otadata.UNDEFINED]


def test_where_no_record_decides_nothing_is_erased_and_nothing_rolled_back(board):
    board.load(board.address["otadata"], otadata.pack(2, otadata.ABORTED))
    check(
        board,
        [
            (ask("app_state", "ota_1"), ABORTED),
            (resume(), OK),
            (ask("app_state", "ota_1"), ABORTED),
            (CONFIRM, "ESP_FAIL"),
            (CAN_ROLL_BACK, False),
            (ROLL_BACK, "ESP_FAIL"),
        ],
    )


def test_states_and_descriptions_of_every_kind_of_partition(board):
    start = board.address["ota_0"]
    described = image.descriptor(lambda offset, length: board.read(start + offset, length))
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
            (
                ask("info", "ota_1", block_size=512),
                [0, 17, board.address["ota_1"], board.slot_size, "ota_1", False],
            ),
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
    board.load(board.address["otadata"], otadata.pack(1, otadata.VALID))
    board.load(board.address["otadata"] + SECTOR, otadata.pack(2, state))
    # Record 1 names ota_1, which is empty: ota_0 boots in any case. A NEW one is put on trial by that boot.
    check(board, [(ask("app_state", "ota_1"), PENDING_VERIFY if state == otadata.NEW else value)])


def test_the_first_sound_record_of_a_slot_counts_even_if_another_is_newer(board):
    board.load(board.address["otadata"], otadata.pack(1, otadata.VALID))
    board.load(board.address["otadata"] + SECTOR, otadata.pack(3, otadata.ABORTED))
    check(board, [(ask("app_state", "ota_0"), VALID)])
    # Its CRC is wrong now.
    board.load(board.address["otadata"] + 28, b"\0")
    check(board, [(ask("app_state", "ota_0"), ABORTED)])


@pytest.mark.twin_only("it has another bootloader")
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
