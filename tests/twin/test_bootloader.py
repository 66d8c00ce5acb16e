"""What boots after a reset: every state of a record, both records, with and without rollback."""

import itertools

import pytest

from firmware.twin import NothingBoots, make_image
from firmware.twin import otadata as o
from firmware.twin import partition_table as p
from firmware.twin.bootloader import Bootloader
from firmware.twin.chips import chip
from firmware.twin.flash import SECTOR, Flash
from firmware.twin.otadata import OtaData, Record
from firmware.twin.partition_table import Partition

BLANK = Record.parse(b"\xff" * 32)
GOOD = make_image(None, "p", "1")
BROKEN = GOOD[:-1] + bytes((GOOD[-1] ^ 1,))
STATES = (o.NEW, o.PENDING_VERIFY, o.VALID, o.INVALID, o.ABORTED, o.UNDEFINED)


class Bench:
    """A flash with that table, and a bootloader for it."""

    def __init__(self, folder, table=p.DEFAULT):
        Flash.create(folder)
        self.flash = Flash(folder)
        self.flash.load(p.OFFSET, p.pack(table))
        self.rows = {row.label: row for row in table}
        self.lines = []

    def install(self, **images):
        for label, image in images.items():
            self.flash.load(self.rows[label].address, image)

    def record(self, index, seq, state, *, broken=False):
        record = BLANK.sealed(seq, state).pack()
        if broken:
            record = record[:28] + b"\0\0\0\0"
        address = self.rows["otadata"].address + index * SECTOR
        self.flash.load(address, record)

    def states(self):
        """Sequence number and state of both records; None for a blank one."""
        records = OtaData(self.flash, self.rows["otadata"]).records
        return [None if r == BLANK else (r.seq, o.STATES[r.state]) for r in records]

    def boot(self, *, rollback=True, retained=None, kind="esp32"):
        loader = Bootloader(self.flash, chip(kind), rollback=rollback, log=self.lines.append)
        return loader.run(retained).slot.label


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.install(ota_0=GOOD, ota_1=GOOD)
    yield bench
    bench.flash.close()


# The newer record chooses ota_1; the older one, for ota_0, is VALID. ESP-IDF 5.5, bootloader_utility.c.
AFTER_RESET = {
    o.NEW: ("ota_1", "PENDING_VERIFY"),
    o.PENDING_VERIFY: ("ota_0", "ABORTED"),
    o.VALID: ("ota_1", "VALID"),
    o.INVALID: ("ota_0", "INVALID"),
    o.ABORTED: ("ota_0", "ABORTED"),
    o.UNDEFINED: ("ota_1", "UNDEFINED"),
}


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("state", STATES, ids=o.STATES.get)
def test_the_state_of_the_newer_record_decides(bench, state, index):
    bench.record(1 - index, 1, o.VALID)
    bench.record(index, 2, state)
    slot, becomes = AFTER_RESET[state]
    assert bench.boot() == slot
    assert bench.states()[index] == (2, becomes)
    assert bench.states()[1 - index] == (1, "VALID")


@pytest.mark.parametrize("state", STATES, ids=o.STATES.get)
def test_without_rollback_no_record_changes(bench, state):
    bench.record(0, 1, o.VALID)
    bench.record(1, 2, state)
    skipped = state in (o.INVALID, o.ABORTED)
    assert bench.boot(rollback=False) == ("ota_0" if skipped else "ota_1")
    assert bench.states()[1] == (2, o.STATES[state])
    assert bench.flash.operations == 0


@pytest.mark.parametrize(("first", "second"), list(itertools.product(STATES, STATES)), ids=o.STATES.get)
def test_every_pair_of_states(bench, first, second):
    """Against the rules of esp_flash_partitions.h, written a second time and as plainly as can be."""
    bench.record(0, 3, first)
    bench.record(1, 2, second)
    after = [o.ABORTED if state == o.PENDING_VERIFY else state for state in (first, second)]
    usable = [i for i in (0, 1) if after[i] not in (o.INVALID, o.ABORTED)]
    # Sequence 3 is ota_0, 2 is ota_1; with neither usable it begins at ota_0 and writes nothing.
    expected = "ota_1" if usable == [1] else "ota_0"
    if usable and after[usable[0]] == o.NEW:
        after[usable[0]] = o.PENDING_VERIFY
    assert bench.boot() == expected
    assert bench.states() == [(3, o.STATES[after[0]]), (2, o.STATES[after[1]])]


def test_an_unconfirmed_image_gets_exactly_one_boot(bench):
    bench.record(0, 1, o.VALID)
    bench.record(1, 2, o.NEW)
    assert [bench.boot() for _ in range(3)] == ["ota_1", "ota_0", "ota_0"]
    assert bench.states() == [(1, "VALID"), (2, "ABORTED")]


def test_blank_otadata_boots_ota_0_and_writes_it_down_as_valid(bench):
    assert bench.boot() == "ota_0"
    assert bench.flash.read(0xD000, 32).hex() == "01000000" + "ff" * 20 + "02000000" + "9a984347"
    assert bench.states() == [(1, "VALID"), None]


def test_blank_otadata_and_a_broken_ota_0_write_down_what_did_boot(bench):
    bench.install(ota_0=BROKEN)
    assert bench.boot() == "ota_1"
    assert bench.states() == [(2, "VALID"), None]
    assert bench.lines == ["bootloader: ota_0 is not bootable: its digest is wrong"]


def test_records_with_a_wrong_crc_count_as_blank(bench):
    bench.record(0, 4, o.VALID, broken=True)
    bench.record(1, 4, o.ABORTED, broken=True)
    # Not both are dismissed, none is active: ESP-IDF tries all slots from the lowest and writes nothing.
    assert bench.boot() == "ota_0"
    assert bench.flash.operations == 0


def test_both_given_up_and_with_a_wrong_crc_count_as_never_written(bench):
    bench.record(0, 4, o.INVALID, broken=True)
    bench.record(1, 5, o.ABORTED, broken=True)
    assert bench.boot() == "ota_0"
    assert bench.states() == [(1, "VALID"), (5, "ABORTED")]


def test_both_given_up_begins_at_ota_0_and_changes_nothing(bench):
    bench.record(0, 1, o.INVALID)
    bench.record(1, 2, o.ABORTED)
    assert bench.boot() == "ota_0"
    assert bench.states() == [(1, "INVALID"), (2, "ABORTED")]


def test_a_pending_record_is_aborted_even_if_its_crc_is_wrong(bench):
    bench.record(0, 1, o.VALID)
    bench.record(1, 2, o.PENDING_VERIFY, broken=True)
    assert bench.boot() == "ota_0"
    assert bench.states()[1] == (2, "ABORTED")


def test_equal_numbers_the_first_record_wins(bench):
    bench.record(0, 2, o.VALID)
    bench.record(1, 2, o.NEW)
    assert bench.boot() == "ota_1"
    assert bench.states() == [(2, "VALID"), (2, "NEW")]


def test_a_broken_image_falls_back_and_leaves_the_record_as_it_is(bench):
    bench.install(ota_1=BROKEN)
    bench.record(0, 1, o.VALID)
    bench.record(1, 2, o.NEW)
    assert bench.boot() == "ota_0"
    assert bench.states() == [(1, "VALID"), (2, "PENDING_VERIFY")]
    assert bench.boot() == "ota_0"
    assert bench.states() == [(1, "VALID"), (2, "ABORTED")]


def test_lower_slots_come_before_higher_ones_then_test(tmp_path):
    rows = (
        *p.DEFAULT[:3],
        *(Partition(p.APP, p.OTA_0 + i, 0x10000 * (i + 2), 0x10000, f"ota_{i}") for i in range(4)),
        Partition(p.APP, p.FACTORY, 0x10000, 0x10000, "factory"),
        Partition(p.APP, p.TEST, 0x60000, 0x10000, "test"),
    )
    bench = Bench(tmp_path, rows)
    bench.install(**{row.label: GOOD for row in rows[3:]})
    bench.record(0, 3, o.VALID)
    order = []
    for _ in range(6):
        order.append(bench.boot())
        bench.install(**{order[-1]: BROKEN})
    assert order == ["ota_2", "ota_1", "ota_0", "factory", "ota_3", "test"]
    with pytest.raises(NothingBoots, match="no slot holds an image that this chip starts"):
        bench.boot()
    bench.flash.close()


def test_a_factory_app_boots_when_otadata_is_blank_and_nothing_is_written(tmp_path):
    rows = (*p.DEFAULT, Partition(p.APP, p.FACTORY, 0x310000, 0x10000, "factory"))
    bench = Bench(tmp_path, rows)
    bench.install(ota_0=GOOD, factory=GOOD)
    assert bench.boot() == "factory"
    assert bench.states() == [None, None]
    bench.flash.close()


def test_waking_from_deep_sleep_asks_neither_otadata_nor_the_image(bench):
    bench.record(0, 1, o.VALID)
    bench.record(1, 2, o.NEW)
    bench.install(ota_0=BROKEN)
    assert bench.boot(retained=bench.rows["ota_0"].address) == "ota_0"
    assert bench.states() == [(1, "VALID"), (2, "NEW")]


def test_an_image_for_another_chip_does_not_boot(bench):
    with pytest.raises(NothingBoots):
        bench.boot(kind="esp32c3")
    assert "it is for chip id 0, this is esp32c3" in bench.lines[0]


@pytest.mark.parametrize("table", [b"\0" * 4096, p.DEFAULT[0].pack() * 128])
def test_a_broken_table_boots_nothing(bench, table):
    bench.flash.load(p.OFFSET, table)
    with pytest.raises(NothingBoots, match="partition table"):
        bench.boot()


def test_a_table_whose_md5_is_wrong_boots_nothing(bench):
    bench.flash.load(p.OFFSET + 20, b"X")
    with pytest.raises(NothingBoots, match="MD5"):
        bench.boot()
