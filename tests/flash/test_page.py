"""docs/boards.md is true: its addresses and sizes are those that are flashed."""

import re

import pytest

from broker_tools.flash import table, vfs
from broker_tools.flash.bootloader import ADDRESSES
from firmware.twin.partition_table import Table
from tests.flash.setup import IDENTITY
from tests.support import downloads
from tests.support.paths import ROOT
from tests.support.serial_board import SerialBoard

PAGE = (ROOT / "docs" / "boards.md").read_text()


@pytest.mark.parametrize("megabytes", [4, 8, 16])
def test_the_addresses_are_those_of_every_table(megabytes):
    rows = table.for_flash(megabytes << 20)
    told = dict(re.findall(r"^\| (\w+) \| (0x[0-9a-f]+) \|", PAGE, re.MULTILINE))
    assert told == {label: hex(table.row(rows, label).address) for label in ("nvs", "otadata", "ota_0")}
    assert f"| partition table | {table.ADDRESS:#x} |" in PAGE
    ends = {
        label: table.row(rows, label).address + table.row(rows, label).size
        for label in ("ota_0", "ota_1", "vfs")
    }
    assert (table.row(rows, "ota_1").address, table.row(rows, "vfs").address) == (
        ends["ota_0"],
        ends["ota_1"],
    )
    assert ends["vfs"] == megabytes << 20


def test_the_slots_are_of_the_size_that_it_says():
    told = re.findall(r"ota-(\d)MiB\.csv\)\s\(slots of ([\d.]+) MiB\)", PAGE)
    assert [megabytes for megabytes, _ in told] == ["4", "8"]
    for megabytes, size in told:
        exact = table.row(table.for_flash(int(megabytes) << 20), "ota_1").size / (1 << 20)
        assert exact - 0.1 < float(size) <= exact


def test_the_bootloaders_lie_where_it_says():
    told = re.search(r"^\| bootloader \| (0x\d+) \(ESP32\), (0x\d+) \(S3, C3\) \|", PAGE, re.MULTILINE)
    assert [int(text, 16) for text in told.groups()] == [ADDRESSES["esp32"], ADDRESSES["esp32s3"]]
    assert ADDRESSES["esp32s3"] == ADDRESSES["esp32c3"]


def test_files_stay_where_micropythons_own_ota_layout_for_8_mb_has_them(flash, tmp_path):
    rows = table.for_flash(8 << 20)
    place = table.row(rows, "vfs")
    with SerialBoard("esp32s3", 8) as board:
        # partitions-8MiBplus-ota.csv of MicroPython v1.26 and later: as ours, but the files have no row.
        board.flash.data[0x8000:0x9000] = table.pack(Table(rows[:-1]))
        files = vfs.Volume(place.size)
        files.update({"notes.txt": b"precious"}, whole="lib/agent")
        board.flash.data[place.address :] = files.data
        result = flash(board, downloads.write(tmp_path, "esp32s3"), *IDENTITY, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "kept, and added to" in result.stdout
