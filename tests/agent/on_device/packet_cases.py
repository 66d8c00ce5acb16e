"""agent/packets.py against bytes written out by hand from the MQTT 3.1.1 standard."""

from agent import packets


class Stream:
    """A non-blocking stream that gives what it holds in pieces of `most` bytes, with a pause after each."""

    def __init__(self, data, most=1_000_000, end=False):
        self.data = data
        self.most = most
        self.end = end
        self.pause = False

    def readinto(self, view):
        if not self.data and self.end:
            return 0
        self.pause = not self.pause and self.most < 1_000_000
        if self.pause or not self.data:
            return None
        part = self.data[: min(self.most, len(view))]
        view[: len(part)] = part
        self.data = self.data[len(part) :]
        return len(part)


def reader_of(stream):
    return packets.Reader(stream, bytearray(packets.PACKET_MAX))


def read_all(reader):
    while True:
        got = reader.read()
        if got:
            return got


def raises(function, *args):
    try:
        function(*args)
    except OSError as error:
        return error.errno
    raise AssertionError("did not raise")


def test_written_packets():
    assert packets.publish("a/b", b"xy") == b"\x30\x07\x00\x03a/bxy"
    assert packets.publish("a/b", b"xy", 10, True) == b"\x33\x09\x00\x03a/b\x00\x0axy"
    assert packets.subscribe(["a", "bc"], 258, 1) == b"\x82\x0b\x01\x02\x00\x01a\x01\x00\x02bc\x01"
    assert packets.unsubscribe(["a"], 1) == b"\xa2\x05\x00\x01\x00\x01a"
    assert packets.puback(513) == b"\x40\x02\x02\x01"


def test_remaining_length_of_two_and_three_bytes():
    assert packets.publish("t", bytes(200))[:3] == b"\x30\xcb\x01"
    assert packets.publish("t", bytes(20000))[:4] == b"\x30\xa3\x9c\x01"


def test_reads_a_publish_whatever_the_segments():
    data = packets.publish("fleet/x", b"payload", 7, False)
    for most in (1, 2, 3, 5, 1_000_000):
        reader = reader_of(Stream(bytes(data), most))
        kind, length = read_all(reader)
        topic, payload, pid = reader.message(kind, length)
        assert (topic, bytes(payload), pid) == ("fleet/x", b"payload", 7)


def test_two_packets_in_one_segment_come_one_by_one():
    reader = reader_of(Stream(b"\xd0\x00" + bytes(packets.publish("t", b"1"))))
    assert read_all(reader) == (0xD0, 0)
    assert read_all(reader) == (0x30, 4)


def test_an_oversized_packet_is_passed_over_and_the_next_is_whole():
    big = packets.publish("t", bytes(packets.PACKET_MAX))
    reader = reader_of(Stream(bytes(big + packets.publish("t", b"1")), 1000))
    kind, length = read_all(reader)
    assert (kind, length) == (0x30, packets.PACKET_MAX + 3) and reader.message(kind, length) == ("t", None, 0)
    kind, length = read_all(reader)
    assert bytes(reader.message(kind, length)[1]) == b"1"


def test_an_oversized_packet_can_still_be_acknowledged():
    # Twenty that are not would be all that mosquitto sends before it waits (max_inflight_messages).
    reader = reader_of(Stream(bytes(packets.publish("t" * 256, b"\xff" * 50_000, 513))))
    assert reader.message(*read_all(reader)) == ("t" * 256, None, 513)


def test_one_read_takes_one_buffer_of_a_flood_at_most():
    stream = Stream(b"\x30\xff\xff\xff\x7f" + bytes(100_000))
    reader = reader_of(stream)
    assert reader.read() is None and reader.fresh
    assert len(stream.data) == 100_000 - packets.PACKET_MAX


def test_a_topic_longer_than_any_of_ours_costs_no_memory():
    reader = reader_of(Stream(bytes(packets.publish("t" * 257, b"1", 7))))
    topic, payload, pid = reader.message(*read_all(reader))
    assert (topic, bytes(payload), pid) == ("", b"1", 7)


def test_a_kind_that_no_broker_sends_raises_at_once():
    for kind in (0x00, 0x10, 0x20, 0x41, 0x50, 0x62, 0x82, 0xA2, 0xC0, 0xD1, 0xE0, 0xF0):
        assert raises(reader_of(Stream(bytes((kind, 0)))).read) == 71


def test_only_a_publish_may_be_long():
    assert raises(reader_of(Stream(b"\xd0\xff\xff\xff\x7f")).read) == 71


def test_the_largest_packet_fits():
    topic = "t" * 256
    data = packets.publish(topic, bytes(4096), 1)
    reader = reader_of(Stream(bytes(data)))
    assert read_all(reader) == (0x32, packets.PACKET_MAX)


def test_end_of_stream_and_a_fifth_length_byte_raise():
    assert raises(read_all, reader_of(Stream(b"\x30\x05ab", end=True))) == 104
    assert raises(read_all, reader_of(Stream(b"\x30\xff\xff\xff\xff\x01"))) == 71


def test_a_packet_that_contradicts_itself_raises():
    for bad in (b"\x30\x01\x00", b"\x30\x03\x00\x05a", b"\x32\x03\x00\x01a", b"\x34\x05\x00\x01a\x00\x01"):
        reader = reader_of(Stream(bad))
        kind, length = read_all(reader)
        assert raises(reader.message, kind, length) == 71
