"""Which function runs on which firmware: its own of #7048, else our C module's, else the one in Python; on a twin.

Both firmwares are stand-ins in Python that print their calls (on_device/c_module.py and pull_7048.py): they hold the
choice, not what native code does. The C module's own tests are tests/native.
"""

import pytest

from tests.esp32_ota.board import SECTOR, SLOT
from tests.support.paths import ROOT

pytestmark = pytest.mark.twin_only("its firmware is a stand-in")
STAND_INS = ROOT / "tests" / "esp32_ota" / "on_device"
ALL = """
slot = Partition("ota_1")
print(slot.app_state(), slot.app_description()[1], Partition.check_rollback_is_possible())
handle = slot.ota_begin(5000)
slot.ota_write(handle, b"\\xe9")
slot.ota_write_with_offset(handle, b"12", 7)
slot.ota_end(handle)
slot.ota_abort(handle)
list(slot.end_steps(handle))
Partition.mark_app_invalid_rollback_and_reboot()
print("END")
"""
TOLD_BY_C = [
    "app_state 0x190000",
    "app_description 0x190000",
    "check_rollback_is_possible",
    "2 in C True",
    "begin 0x190000 5000",
    "write 1 1",
    "write_with_offset 1 2 7",
    "end 1",
    "abort 1",
    "end 1",
    "mark_app_invalid_rollback_and_reboot",
]
TOLD_BY_7048 = [
    "7048 app_state",
    "7048 app_description",
    "7048 check_rollback_is_possible",
    "2 in #7048 True",
    "7048 ota_begin 5000",
    "7048 ota_write 1 b'\\xe9'",
    "7048 ota_write_with_offset 1 b'12' 7",
    "7048 ota_end 1",
    "7048 ota_abort 1",
    "7048 ota_end 1",
    "7048 mark_app_invalid_rollback_and_reboot",
]


@pytest.fixture
def native(board):
    """The board's firmware has our C module."""
    board.put("lib/_otafleet.py", (STAND_INS / "c_module.py").read_bytes())
    return board


@pytest.fixture
def merged(board):
    """The board's firmware can be given the functions of #7048."""
    board.put("lib/pull_7048.py", (STAND_INS / "pull_7048.py").read_bytes())
    return board


def with_7048(name, script):
    return f"import pull_7048\npull_7048.use(pull_7048.{name})\nfrom esp32_ota import Partition\n{script}"


def test_the_c_module_is_used_where_it_is(native):
    assert native.run("from esp32_ota import Partition\n" + ALL) == TOLD_BY_C


def test_the_checks_that_esp_idf_lacks_come_before_the_c_module(native):
    printed = native.run(
        """
from esp32_ota import Partition
slot = Partition("ota_1")
for call in (
    lambda: slot.ota_begin(0x180001),
    lambda: list(slot.begin_steps(0x180001)),
    lambda: slot.ota_resume(0x180001),
    lambda: Partition("ota_0").ota_resume(),
    lambda: Partition("vfs").ota_begin(),
):
    try:
        print(call())
    except OSError as error:
        print(error.args[1])
print("END")
"""
    )
    assert printed == [
        *["ESP_ERR_INVALID_SIZE"] * 3,
        "ESP_ERR_OTA_PARTITION_CONFLICT",
        "ESP_ERR_INVALID_ARG",
    ]
    first = SLOT["ota_1"] // SECTOR
    assert sum(count.erases for count in native.counts[first : first + 384]) == 0


def test_the_c_module_resumes_and_erases_in_steps(native):
    printed = native.run(
        """
from esp32_ota import Partition
slot = Partition("ota_1")
print(slot.ota_resume(5000))
print(len(list(slot.begin_steps(5000))))
print("END")
"""
    )
    assert printed == [
        "resume 0x190000",
        "1",
        "begin 0x190000 -2",
        "erase 2 0x0 1",
        "erase 2 0x1000 1",
        "2",
    ]


def test_where_esp_idf_is_too_old_for_the_c_module_handles_stay_in_python(native):
    printed = native.run(
        """
import _otafleet
_otafleet.ON_DEMAND = 0
from esp32_ota import Partition
slot = Partition("ota_1")
handle = slot.ota_begin(-2)
slot.ota_write(handle, b"\\xe9")
slot.ota_abort(handle)
print(slot.app_state())
print("END")
"""
    )
    assert printed == ["app_state 0x190000", "2"]


def test_what_the_firmware_has_of_7048_is_used(merged):
    assert merged.run(with_7048("Whole", ALL)) == TOLD_BY_7048


def test_the_firmware_itself_comes_before_the_c_module(native, merged):
    assert merged.run(with_7048("Whole", ALL)) == TOLD_BY_7048


def test_what_7048_lacks_is_ours_beside_it(merged):
    printed = merged.run(
        with_7048(
            "Whole",
            """
slot = Partition("ota_1")
handle = slot.ota_resume()
print(handle > 1 << 28, slot.ota_begin())
slot.ota_write_with_offset(handle, b"\\xe9", 5000)
slot.ota_abort(handle)
for call in (slot.ota_resume, lambda: Partition("ota_0").ota_resume()):
    try:
        handle = call()
        list(slot.end_steps(handle))
    except OSError as error:
        print(error.args[1])
print("END")
""",
        )
    )
    assert printed == [
        "7048 ota_begin",
        "True 1",
        "ESP_ERR_OTA_VALIDATE_FAILED",
        "ESP_ERR_OTA_PARTITION_CONFLICT",
    ]
    first = SLOT["ota_1"] // SECTOR
    assert [count.erases for count in merged.counts[first : first + 3]] == [0, 1, 0]


@pytest.mark.parametrize("firmware", ["Info", "Old"])
def test_a_part_of_7048_is_used_and_the_rest_is_python(merged, firmware):
    printed = merged.run(
        with_7048(
            firmware,
            """
slot = Partition("ota_1")
print(slot.app_description()[1], Partition.check_rollback_is_possible())
print(Partition(Partition.RUNNING).app_state() == Partition.APP_STATE_VALID)
handle = slot.ota_begin(1)
slot.ota_write(handle, b"\\xe9")
slot.ota_abort(handle)
print("END")
""",
        )
    )
    assert printed == [
        "7048 app_description",
        "7048 check_rollback_is_possible",
        "in #7048 True",
        "True",
    ]
