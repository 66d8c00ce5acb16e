"""agent/journal.py over the twin's NVS."""

import struct
from binascii import crc32

from esp32 import NVS

from agent.journal import Journal, JournalError

BUFFER = bytearray(4000)


def stored(blob):
    """What a boot makes of this blob: (entry, whether one was lost)."""
    NVS("otafleet").set_blob("journal", blob)
    journal = Journal()
    return journal.read(BUFFER), journal.lost


def sealed(body, kind=1):
    return struct.pack("<BHI", kind, len(body), crc32(body)) + body


def test_a_new_device_has_no_entry_and_counts_boots_from_one():
    journal = Journal()
    assert journal.read(BUFFER) is None and not journal.lost
    assert journal.boots == 1 and len(journal.epoch) == 4
    again = Journal()
    assert again.boots == 2 and again.epoch == journal.epoch


def test_an_entry_comes_back():
    entry = {"phase": "testing", "n": 7, "manifest": ["x" * 1200], "events": ["offered"]}
    Journal().write(entry)
    assert Journal().read(BUFFER) == entry


def test_torn_and_unknown_entries_are_lost_not_believed():
    body = b'{"phase": "idle"}'
    assert stored(sealed(body)) == ({"phase": "idle"}, False)
    for blob in (
        sealed(body)[:-1],
        sealed(body, 2),
        sealed(b"{"),
        b"\x01",
        sealed(body)[:3] + bytes(4) + body,
    ):
        assert stored(blob) == (None, True), blob


def test_an_entry_that_does_not_fit_the_nvs_raises_and_leaves_the_old_one():
    journal = Journal()
    journal.write({"n": 1})
    try:
        journal.write({"n": 2, "manifest": ["x" * 20_000]})
    except JournalError:
        assert Journal().read(BUFFER) == {"n": 1}
        return
    raise AssertionError("was stored")


def test_a_full_nvs_takes_nothing_and_stops_nobody():
    journal = Journal()
    full = NVS("app")
    size = 1024
    while size:
        try:
            full.set_blob(f"b{size}", bytes(size))
            size -= 1
        except OSError:
            size //= 2
    journal.raise_floor(6)
    journal.raise_issued(7)
    journal.quarantine(bytes(32), 1_800_000_000, 1, 0)
    assert (journal.floor(), journal.issued(), journal.quarantined(bytes(32))) == (0, 0, None)


def test_floor_and_issued_only_rise():
    journal = Journal()
    assert journal.floor() == journal.issued() == 0
    for value, expected in ((5, 5), (3, 5), (1_800_000_000, 1_800_000_000)):
        journal.raise_floor(value)
        journal.raise_issued(value + 1)
        assert (Journal().floor(), Journal().issued()) == (expected, expected + 1)


def test_the_quarantine_keeps_the_last_four_images():
    journal = Journal()
    for number in range(5):
        journal.quarantine(bytes([number]) * 32, 1_800_000_000, number, 0)
    assert journal.quarantined(bytes(32)) is None
    assert journal.quarantined(b"\x04" * 32) == (1_800_000_000, 4, 0)
    journal.quarantine(b"\x01" * 32, 7, 300, 2)
    assert Journal().quarantined(b"\x01" * 32) == (7, 255, 2)
    assert journal.quarantined(b"\x02" * 32) == (1_800_000_000, 2, 0)
