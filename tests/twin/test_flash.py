"""Flash is NOR, counts what is done to it, guards the running app, and can lose its power at any operation."""

import pytest

from firmware.twin.errors import Abort, PowerLost, TwinError
from firmware.twin.flash import SECTOR, SIZE, Flash, Operation, PowerCut, SectorCount


@pytest.fixture
def flash(tmp_path):
    Flash.create(tmp_path)
    flash = Flash(tmp_path)
    yield flash
    flash.close()


def test_new_flash_is_erased_and_takes_no_room(flash):
    assert flash.read(0, SIZE) == b"\xff" * SIZE
    assert flash.path.stat().st_size == SIZE
    assert flash.path.stat().st_blocks * 512 < 65536


def test_programming_clears_bits_and_sets_none(flash):
    flash.program(100, b"\xf0\x0f\xff")
    flash.program(100, b"\xcc\xcc\x00")
    assert flash.read(99, 5) == b"\xff\xc0\x0c\x00\xff"


def test_erasing_sets_all_bits_of_its_sectors_and_no_others(flash):
    flash.program(SECTOR - 1, bytes(2 * SECTOR + 2))
    flash.erase(SECTOR, SECTOR)
    assert flash.read(SECTOR - 1, SECTOR + 2) == b"\0" + b"\xff" * SECTOR + b"\0"


@pytest.mark.parametrize(("address", "size"), [(1, SECTOR), (0, SECTOR - 1), (SIZE, SECTOR)])
def test_erasing_takes_whole_sectors_of_the_flash(flash, address, size):
    with pytest.raises(ValueError, match=r"sectors|outside"):
        flash.erase(address, size)


def test_what_is_written_is_there_when_the_flash_is_opened_again(tmp_path, flash):
    flash.program(SIZE - 3, b"abc")
    flash.load(5, b"raw")
    again = Flash(tmp_path)
    assert again.read(SIZE - 3, 3) == b"abc"
    assert again.read(0, 10) == b"\xff" * 5 + b"raw\xff\xff"
    assert again.counts() == flash.counts()
    again.close()


def test_erases_and_writes_are_counted_for_each_sector(tmp_path, flash):
    flash.erase(SECTOR, 2 * SECTOR)
    flash.erase(SECTOR, SECTOR)
    flash.program(2 * SECTOR - 1, b"ab")
    flash.load(3 * SECTOR, b"by the programmer")
    assert flash.counts()[:4] == [SectorCount(0, 0), SectorCount(2, 1), SectorCount(1, 1), SectorCount(0, 0)]
    assert flash.operations == 5


def test_time_is_45_ms_for_a_sector_and_half_a_ms_for_a_page(flash):
    flash.erase(0, 2 * SECTOR)
    assert flash.spent == pytest.approx(0.090)
    flash.program(255, bytes(2))
    assert flash.spent == pytest.approx(0.091)
    flash.program(0, bytes(SECTOR))
    assert flash.spent == pytest.approx(0.099)


def test_operations_where_the_app_runs_abort_and_do_nothing(flash):
    flash.guarded = (range(SECTOR, 2 * SECTOR),)
    for operation in (lambda: flash.erase(SECTOR, SECTOR), lambda: flash.program(2 * SECTOR - 1, b"a")):
        with pytest.raises(Abort):
            operation()
    flash.program(2 * SECTOR, b"a")
    assert flash.read(SECTOR, SECTOR) == b"\xff" * SECTOR
    assert flash.counts()[1] == SectorCount(0, 0)


def test_power_goes_in_the_middle_of_the_operation_that_was_asked_for(flash):
    flash.program(0, b"\x55" * SECTOR)
    flash.power_cut = PowerCut(at=3, seed=4)
    flash.erase(SECTOR, SECTOR)
    flash.program(SECTOR, b"whole")
    with pytest.raises(PowerLost):
        flash.erase(0, SECTOR)
    assert flash.read(SECTOR, 5) == b"whole"
    assert flash.power_cut is None
    erased = flash.read(0, SECTOR)
    done = len(erased) - len(erased.lstrip(b"\xff"))
    assert 0 < done < SECTOR
    assert erased[done + 1 :] == b"\x55" * (SECTOR - done - 1)


def test_each_operation_is_told_before_it_is_done(flash):
    told = []
    flash.on_operation = lambda operation: told.append((operation, flash.read(operation.address, 1)))
    flash.program(SECTOR - 1, b"ab")
    flash.erase(SECTOR, SECTOR)
    assert told == [
        (Operation(1, SECTOR - 1, 1, is_erase=False), b"\xff"),
        (Operation(2, SECTOR, 1, is_erase=False), b"\xff"),
        (Operation(3, SECTOR, SECTOR, is_erase=True), b"b"),
    ]


def test_a_torn_write_only_clears_bits(flash):
    for seed in range(50):
        old, new = b"\xf3" * 32, b"\x51" * 32
        torn = PowerCut(1, seed).torn(old, new)
        assert len(torn) == 32
        assert all(o & n == n and o | b == o and b | n == b for o, n, b in zip(old, new, torn, strict=True))
    assert len({PowerCut(1, seed).torn(old, new) for seed in range(50)}) > 20


def test_a_missing_flash_is_one_clear_line(tmp_path):
    with pytest.raises(TwinError, match="no usable twin in"):
        Flash(tmp_path / "nothing")
