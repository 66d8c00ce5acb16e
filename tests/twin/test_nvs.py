"""NVS keeps its values over resets and power cuts, and fails as ESP-IDF's does."""

import pytest

from firmware.twin.errors import EspError, PowerLost
from firmware.twin.flash import SECTOR, Flash, PowerCut
from firmware.twin.nvs import BLOB, I32, Nvs
from firmware.twin.partition_table import DEFAULT
from tests.twin.bench import make, once, run

PARTITION = DEFAULT[0]


@pytest.fixture
def flash(tmp_path):
    Flash.create(tmp_path)
    flash = Flash(tmp_path)
    yield flash
    flash.close()


def key(name, space=b"s"):
    return space, name


def test_values_outlive_a_reset_without_a_commit(tmp_path):
    program = """
import machine
from esp32 import NVS
values = NVS("app")
try:
    print(values.get_i32("count"))
except OSError as error:
    print(error.args)
    values.set_i32("count", -7)
    values.set_blob("name", b"a\\0b")
    machine.reset()
blob = bytearray(5)
print(values.get_blob("name", blob), bytes(blob))
values.erase_key("count")
values.commit()
try:
    values.get_i32("count")
except OSError as error:
    print(error.args)
machine.reset()
"""
    missing = "(-4354, 'ESP_ERR_NVS_NOT_FOUND')"
    twin = make(tmp_path, program)
    assert run(twin, resets=1) == [missing, "-7", "3 b'a\\x00b\\x00\\x00'", missing]


def test_values_outlive_a_soft_reset_and_the_end_of_the_process(tmp_path):
    program = """
import machine
from esp32 import NVS
values = NVS("app")
try:
    n = values.get_i32("n")
except OSError:
    n = 0
values.set_i32("n", n + 1)
print(n)
(machine.soft_reset if n % 2 else machine.reset)()
"""
    twin = make(tmp_path, program)
    assert run(twin, resets=2) == ["0", "1", "2"]
    assert run(twin, resets=1) == ["3", "4"]


def test_errors_are_those_of_stock(tmp_path):
    program = """
from esp32 import NVS
values = NVS("app")
values.set_i32("n", 1)
values.set_blob("b", bytes(10))
def attempt(call, *arguments):
    try:
        print(call(*arguments))
    except OSError as error:
        print(error.args)
attempt(values.get_i32, "b")
attempt(values.get_blob, "n", bytearray(4))
attempt(values.get_blob, "b", bytearray(9))
attempt(values.erase_key, "none")
attempt(values.set_i32, "k" * 16, 1)
attempt(values.set_i32, "k" * 15, 1)
attempt(NVS, "s" * 16)
attempt(values.set_blob, "big", bytes(16000))
attempt(NVS("other").get_i32, "n")
"""
    assert once(tmp_path, program) == [
        "(-4354, 'ESP_ERR_NVS_NOT_FOUND')",
        "(-4354, 'ESP_ERR_NVS_NOT_FOUND')",
        "(-4364, 'ESP_ERR_NVS_INVALID_LENGTH')",
        "(-4354, 'ESP_ERR_NVS_NOT_FOUND')",
        "(-4361, 'ESP_ERR_NVS_KEY_TOO_LONG')",
        "None",
        "(-4361, 'ESP_ERR_NVS_KEY_TOO_LONG')",
        "(-4357, 'ESP_ERR_NVS_NOT_ENOUGH_SPACE')",
        "(-4354, 'ESP_ERR_NVS_NOT_FOUND')",
    ]


def test_a_value_that_stays_the_same_is_not_written_again(flash):
    values = Nvs(flash, PARTITION)
    values.set(key(b"a"), I32, b"1234")
    before = flash.operations
    values.set(key(b"a"), I32, b"1234")
    assert flash.operations == before
    values.set(key(b"a"), BLOB, b"1234")
    assert flash.operations == before + 1


def test_a_change_is_one_write_and_halves_take_turns_when_one_is_full(flash):
    values = Nvs(flash, PARTITION)
    for n in range(2000):
        values.set(key(b"count"), I32, n.to_bytes(4, "little"))
        values.set(key(b"name"), BLOB, b"x" * (n % 40))
    assert Nvs(flash, PARTITION).get(key(b"count"), I32) == (1999).to_bytes(4, "little")
    assert Nvs(flash, PARTITION).get(key(b"name"), BLOB) == b"x" * 39
    erases = [count.erases for count in flash.counts()[9:13]]
    assert max(erases) - min(erases) <= 1
    assert 4000 <= flash.operations < 4200


def test_an_erased_partition_is_empty_and_takes_values_again(flash):
    values = Nvs(flash, PARTITION)
    values.set(key(b"a"), I32, b"1234")
    flash.load(PARTITION.address, b"\xff" * PARTITION.size)
    values = Nvs(flash, PARTITION)
    with pytest.raises(EspError, match="NOT_FOUND"):
        values.get(key(b"a"), I32)
    values.set(key(b"b"), I32, b"5678")
    assert Nvs(flash, PARTITION).get(key(b"b"), I32) == b"5678"


@pytest.mark.parametrize("junk", [b"\0" * 16384, b"\xa5" * 16384, bytes(range(256)) * 64])
def test_a_partition_full_of_junk_is_empty_and_takes_values_again(flash, junk):
    flash.load(PARTITION.address, junk)
    values = Nvs(flash, PARTITION)
    values.set(key(b"b"), I32, b"5678")
    assert Nvs(flash, PARTITION).get(key(b"b"), I32) == b"5678"


def history():
    """Changes, in order: some overwrite, some erase, enough to fill a half several times."""
    for n in range(60):
        yield b"n", n.to_bytes(4, "little")
        yield b"blob%d" % (n % 3), bytes((n,)) * 300
        if n % 7 == 6:
            yield b"blob1", None


def apply(values, name, value):
    if value is None:
        values.erase(key(name))
    else:
        values.set(key(name), BLOB, value)


def everything(values):
    found = {}
    for name in (b"n", b"blob0", b"blob1", b"blob2"):
        try:
            found[name] = values.get(key(name), BLOB)
        except EspError:
            found[name] = None
    return found


def test_a_power_cut_at_any_operation_loses_the_change_under_way_and_no_other(tmp_path):
    changes = list(history())
    for at in range(1, 400, 3):
        folder = tmp_path / str(at)
        folder.mkdir()
        Flash.create(folder)
        flash = Flash(folder)
        flash.power_cut = PowerCut(at, seed=at)
        values = Nvs(flash, PARTITION)
        expected = everything(values)
        name = new = None
        try:
            for name, new in changes:
                apply(values, name, new)
                expected[name] = new
        except PowerLost:
            found = everything(Nvs(flash, PARTITION))
            assert {**found, name: None} == {**expected, name: None}, at
            assert found[name] in (expected[name], new), at
            # And it goes on from there.
            values = Nvs(flash, PARTITION)
            values.set(key(b"after"), I32, b"abcd")
            values = Nvs(flash, PARTITION)
            assert everything(values) == found
            assert values.get(key(b"after"), I32) == b"abcd"
        else:
            assert flash.counts()[PARTITION.address // SECTOR].erases > 1
            break
        finally:
            flash.close()
    assert at > 100
