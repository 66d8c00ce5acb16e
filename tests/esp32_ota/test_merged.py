"""Cutting the app out of merged downloads."""

import pytest

from broker_tools import merged
from broker_tools.errors import OtafleetError
from firmware.twin import partition_table
from firmware.twin.partition_table import DEFAULT, Partition
from tests.support.images import spoiled
from tests.support.testdata import APP_OFFSET, merged_firmware, older_merged_firmware

FACTORY = (Partition(1, 2, 0x9000, 0x6000, "nvs"), Partition(0, 0, 0x10000, 0x1F0000, "factory"))


def merge(app, *, start=0, rows=DEFAULT, address=0x10000):
    """A copy of flash from `start` on: a bootloader's magic, the table at 0x8000, the app at `address`."""
    flash = bytearray(b"\xff" * address) + app
    flash[start] = 0xE9
    table = partition_table.pack(rows).rstrip(b"\xff")
    flash[0x8000 : 0x8000 + len(table)] = table
    return bytes(flash[start:])


def test_the_genuine_downloads(images):
    data = merged_firmware().read_bytes()
    assert merged.extract(data) == (images["genuine"], APP_OFFSET)
    assert merged.extract(older_merged_firmware().read_bytes()) == (images["genuine-older"], APP_OFFSET)


@pytest.mark.parametrize("start", [0x0, 0x1000, 0x2000])
@pytest.mark.parametrize("rows", [DEFAULT, FACTORY])
def test_wherever_the_file_starts_and_whatever_the_partition_is_called(images, start, rows):
    app = images["esp32s3"]
    data = merge(app, start=start, rows=rows)
    assert merged.extract(data) == (app, 0x10000 - start)
    # Padding up to the size of the flash, and whatever stands there, is left out.
    assert merged.extract(data + b"\xff" * 9000 + b"a file system")[0] == app


def test_the_first_slot_that_holds_something_is_taken(images):
    app = images["esp32c3"]
    assert merged.extract(merge(app, address=0x190000)) == (app, 0x190000)
    reordered = (*DEFAULT[:3], DEFAULT[4], DEFAULT[3], DEFAULT[5])
    both = merge(app, rows=reordered).ljust(0x190000, b"\xff") + images["esp32"]
    assert merged.extract(both) == (app, 0x10000)


def test_a_table_without_md5_is_taken_too(images):
    data = merge(images["esp32"])
    size = len(DEFAULT) * 32
    assert data[0x8000 + size :].startswith(b"\xeb\xeb")
    assert merged.extract(spoiled(data, {0x8000 + size: b"\xff" * 32}))[0] == images["esp32"]


def faults(app):
    data = merge(app)
    table = 0x8000
    return {
        "an app": (app, "the file is an app image already: publish it as it is"),
        "nothing": (b"", "there is no partition table in the file: it is not a merged download"),
        "a text": (b"read me" * 9000, "there is no partition table in the file: it is not a merged download"),
        "cut in the table": (data[: table + 33], "the partition table in the file is damaged"),
        "a row with another size": (
            spoiled(data, {table + 8: b"\1"}),
            "the partition table in the file is damaged",
        ),
        "a row overwritten": (
            spoiled(data, {table + 64: b"\0" * 32}),
            "the partition table in the file is damaged",
        ),
        "cut before the app": (data[:0x10000], "no app for ota_0 and ota_1"),
        "cut in the app": (
            data[:0x11000],
            "what it holds for the partition ota_0 is cut short: it ends at byte 4096",
        ),
        "a broken app": (
            data[:-1] + bytes([data[-1] ^ 1]),
            "what it holds for the partition ota_0 is damaged: its SHA-256 does not match",
        ),
        "no app partition": (
            merge(app, rows=DEFAULT[:3]),
            "the file has a partition table, but no app for any app partition",
        ),
        "a slot that is too small": (
            merge(app, rows=[Partition(0, 0x10, 0x10000, 0x10000, "ota_0")]),
            "partition ota_0 is too large",
        ),
    }


@pytest.mark.parametrize("name", faults(bytes(24)))
def test_what_is_wrong_is_said_in_one_line(images, name):
    data, words = faults(images["esp32"])[name]
    with pytest.raises(OtafleetError) as caught:
        merged.extract(data)
    assert words in str(caught.value)
