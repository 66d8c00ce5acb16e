"""The class itself: what it adds to esp32.Partition, how it takes its place, and its long work in steps."""

import pytest

from firmware.twin.partition_table import DEFAULT, Partition
from tests.esp32_ota.board import SECTOR, Board
from tests.esp32_ota.steps import OK, check, resume, whole

STATES = ("NEW", "PENDING_VERIFY", "VALID", "INVALID", "ABORTED", "UNDEFINED")


def test_install_puts_it_in_the_place_of_the_stock_class(board):
    printed = board.run(
        """
import esp32
stock = esp32.Partition
import esp32_ota
print(esp32_ota.install() is esp32_ota.Partition)
from esp32 import Partition, NVS
import esp32 as again
print(Partition is esp32_ota.Partition, again.Partition is Partition, Partition is not stock)
print(NVS is esp32.NVS)
try:
    again.nothing
except AttributeError:
    print("AttributeError")
running = Partition(Partition.RUNNING)
print(isinstance(running, stock), running.info()[4], Partition(Partition.BOOT).info()[4])
print(Partition.APP_STATE_VALID == running.app_state())
print("END")
"""
    )
    assert printed == ["True", "True True True", "True", "AttributeError", "True ota_0 ota_0", "True"]


def test_the_class_has_the_functions_and_constants_of_7048(board):
    names = [
        "mark_app_invalid_rollback_and_reboot",
        "check_rollback_is_possible",
        "app_description",
        "app_state",
        "ota_begin",
        "ota_write",
        "ota_write_with_offset",
        "ota_end",
        "ota_abort",
        "ota_resume",
    ]
    printed = board.run(
        f"""
from esp32_ota import Partition
print([name for name in {names} if not hasattr(Partition, name)])
print([getattr(Partition, "APP_STATE_" + name) for name in {STATES}])
print("END")
"""
    )
    assert printed == ["[]", "[0, 1, 2, 3, 4, -1]"]


@pytest.mark.twin_only("it has another partition table")
def test_what_find_and_get_next_update_give_can_update_too(tmp_path, images):
    # Last: a type of the user's own, which esp32.Partition finds by type but not by label, and a label of an app.
    odd = Partition(0x40, 1, 0x310000, 0x10000, "odd")
    twin = Partition(1, 0x81, 0x320000, 0x10000, "ota_1")
    table = [*(row for row in DEFAULT if row.label != "vfs"), odd, twin]
    board = Board(tmp_path, {"esp32": images["esp32"]}, {"ota_0": "esp32"}, table=table)
    printed = board.run(
        """
from esp32_ota import Partition
slots = Partition.find(Partition.TYPE_APP)
print([(p.info()[4], type(p) is Partition) for p in slots])
print([(p.info()[4], type(p) is Partition) for p in Partition.find(type=Partition.TYPE_APP, label="ota_1")])
print([(p.ioctl(5, 0), type(p) is Partition) for p in Partition.find(Partition.TYPE_DATA, 0, block_size=512)])
print([p.info()[4] for p in Partition.find(0x40)], Partition.find(0x41))
print([hex(p.info()[2]) for p in Partition.find(Partition.TYPE_DATA, label="ota_1")])
after = Partition(Partition.RUNNING).get_next_update()
print(after.info()[4], after.ota_resume())
print("END")
"""
    )
    assert printed == [
        "[('ota_0', True), ('ota_1', True)]",
        "[('ota_1', True)]",
        "[(512, True)]",
        "['odd'] []",
        "['0x320000']",
        "ota_1 1",
    ]


@pytest.mark.twin_only("native code, where the firmware has any, takes fewer steps")
def test_erasing_and_verifying_can_be_done_in_steps(board, app, size):
    check(board, [(resume(), OK), *whole("app", size)])
    printed = board.run(
        """
from esp32_ota import Partition
slot = Partition("ota_1")
buffer = bytearray(4096)
handle = slot.ota_resume()
print(len(list(slot.end_steps(handle, buffer))))
try:
    list(slot.end_steps(handle, buffer))
except OSError as error:
    print(error)
erasing = slot.begin_steps(3 * 4096)
next(erasing)
print("END")
"""
    )
    steps = int(printed[0])
    assert size // SECTOR <= steps <= size // SECTOR + 2 * app[1]
    assert "ESP_ERR_NOT_FOUND" in printed[1]
    # One sector in the first step, on top of the one erase of the update.
    board.check_erases("ota_1", {0: 2, 1: 1, 2: 1})


@pytest.mark.twin_only("it has another partition table")
def test_a_table_without_ota_has_no_slots_and_no_states(tmp_path, images):
    table = [Partition(1, 2, 0x9000, 0x6000, "nvs"), Partition(0, 0, 0x10000, 0x1F0000, "factory")]
    board = Board(tmp_path, {"esp32": images["esp32"]}, {"ota_0": "esp32"}, table=table)
    printed = board.run(
        """
from esp32_ota import Partition
running = Partition(Partition.RUNNING)
print(running.app_description()[1], Partition.check_rollback_is_possible())
for call in (
    running.app_state,
    running.ota_begin,
    running.ota_resume,
    running.get_next_update,
    Partition.mark_app_valid_cancel_rollback,
    Partition.mark_app_invalid_rollback_and_reboot,
):
    try:
        print(call())
    except OSError as error:
        print(error.args)
print("END")
"""
    )
    assert printed == [
        "1.2.3 False",
        "(95, 'ESP_ERR_NOT_SUPPORTED')",
        "(-258, 'ESP_ERR_INVALID_ARG')",
        "(-258, 'ESP_ERR_INVALID_ARG')",
        "(2,)",
        "(-261, 'ESP_ERR_NOT_FOUND')",
        "(-261, 'ESP_ERR_NOT_FOUND')",
    ]


@pytest.mark.twin_only("it has another partition table")
def test_a_factory_app_updates_into_the_first_slot_and_is_what_remains_to_go_back_to(tmp_path, images):
    table = [
        Partition(1, 2, 0x9000, 0x4000, "nvs"),
        Partition(1, 0, 0xD000, 0x2000, "otadata"),
        Partition(0, 0, 0x10000, 0x100000, "factory"),
        Partition(0, 0x10, 0x110000, 0x100000, "ota_0"),
    ]
    board = Board(tmp_path, {"esp32": images["esp32"]}, {"ota_0": "esp32"}, table=table)
    board.load(0x110000, images["esp32"])
    answers = board.call(
        [
            {"op": "mark_app_valid_cancel_rollback"},
            {"op": "get_next_update"},
            {"op": "ota_resume", "slot": "ota_0", "size": 0, "handle": "h"},
            {"op": "ota_end", "handle": "h"},
            {"op": "set_boot", "slot": "ota_0"},
            {"op": "mark_app_valid_cancel_rollback"},
            {"op": "reset"},
            {"op": "check_rollback_is_possible"},
            {"op": "mark_app_invalid_rollback_and_reboot"},
            {"op": "reset"},
        ]
    )
    assert [answer.get("value", answer["r"]) for answer in answers] == [
        "ESP_FAIL",
        "ota_0",
        1,
        None,
        None,
        "ESP_ERR_INVALID_STATE",
        ["ota_0", "ota_0"],
        True,
        "esp_restart()",
        ["factory", "factory"],
    ]
