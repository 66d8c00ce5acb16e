"""agent/http.py against responses written out by hand from RFC 9110 and RFC 9112."""

from agent import http
from agent.protocol.limits import CHUNK
from packet_cases import Stream

HEAD = (
    b"HTTP/1.1 206 Partial Content\r\n"
    b"Date: Mon, 23 Nov 2026 20:00:00 GMT\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Length: %d\r\n"
    b"Content-Range: bytes %d-%d/%d\r\n"
    b"\r\n"
)


def body_of(length):
    return bytes(at * 7 + (at >> 8) & 0xFF for at in range(length))


def good(first, last, total):
    return HEAD % (last - first + 1, first, last, total) + body_of(last - first + 1)


def reader_of(stream, first=0, last=4, total=5):
    reader = http.Reader(bytearray(CHUNK))
    reader.begin(stream, first, last, total)
    return reader


def read_all(reader, most=1_000_000):
    """The pieces of the body, or the exception instead."""
    pieces = []
    try:
        while reader.left:
            length = reader.read()
            if length:
                pieces.append(bytes(reader.buffer[:length]))
            most -= 1
            assert most
    except (ValueError, OSError) as error:
        return error
    return pieces


def answer(head, body=b"01234"):
    """What five bytes of five come to when the head is this."""
    return read_all(reader_of(Stream(head.replace(b"\n", b"\r\n") + body, end=True)))


def refuses(head, body=b"01234"):
    return isinstance(answer(head, body), ValueError)


def test_a_request_asks_for_both_ends_of_its_range():
    assert http.request("a:81", "/x?y=1", 4096, 8191) == (
        b"GET /x?y=1 HTTP/1.1\r\nHost: a:81\r\nRange: bytes=4096-8191\r\nAccept-Encoding: identity\r\n\r\n"
    )


def test_a_body_comes_in_chunks_whatever_the_segments():
    for first, last, total in (
        (0, 4, 5),
        (4096, 8191, 100_000),
        (8192, 8192 + 3 * 4096 - 1, 65536),
        (4096, 13000, 13001),
    ):
        data = good(first, last, total)
        body = body_of(last - first + 1)
        for most in (1, 3, 100, 4095, 4096, 4097, 1_000_000):
            reader = reader_of(Stream(data, most), first, last, total)
            pieces = read_all(reader)
            assert pieces == [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)], (first, most)
            assert reader.keep


def test_the_second_response_of_a_connection_follows_the_first():
    stream = Stream(good(0, 4, 10), 7)
    reader = reader_of(stream, 0, 4, 10)
    assert read_all(reader) == [body_of(5)]
    stream.data = good(5, 9, 10)
    reader.begin(stream, 5, 9, 10)
    assert read_all(reader) == [body_of(5)]


def test_what_need_not_be_there_and_how_it_may_be_written():
    assert answer(b"HTTP/1.1 206\nContent-Range: bytes 0-4/5\n\n") == [b"01234"]
    assert answer(b"HTTP/1.1 206 \ncontent-RANGE:Bytes 0-4/5\t \nX:\nContent-Encoding: identity\n\n") == [
        b"01234"
    ]
    assert read_all(reader_of(Stream(b"HTTP/1.1 206 OK\nContent-Range: bytes 0-4/5\n\n01234"))) == [b"01234"]


def test_an_interim_response_is_passed_over():
    early = b"HTTP/1.1 103 Early Hints\nLink: </a>\n\n"
    assert answer(early + early + b"HTTP/1.1 206 OK\nContent-Range: bytes 0-4/5\n\n") == [b"01234"]
    assert refuses(early * 12)
    assert refuses(b"HTTP/1.1 100 Continue\nContent-Range: bytes 0-4/5\n\nHTTP/1.1 206 OK\n\n")


def test_whether_the_connection_can_be_kept():
    for version, field, keep in (
        (b"1.1", b"X: y", True),
        (b"1.1", b"Connection: keep-alive", True),
        (b"1.1", b"connection: foo, Close", False),
        (b"1.0", b"X: y", False),
    ):
        head = b"HTTP/%s 206 OK\nContent-Range: bytes 0-4/5\nContent-Length: 5\n%s\n\n" % (version, field)
        reader = reader_of(Stream(head + b"01234"))
        assert read_all(reader) == [b"01234"]
        assert reader.keep is keep, field
    reader = reader_of(Stream(b"HTTP/1.1 206 OK\nContent-Range: bytes 0-4/5\n\n01234"))
    assert read_all(reader) == [b"01234"]
    assert not reader.keep


def test_every_other_status_is_refused_or_means_later():
    for status in (101, 200, 203, 204, 301, 302, 304, 307, 308, 400, 401, 403, 404, 410, 416, 600, 999):
        head = b"HTTP/1.1 %d Whatever\nContent-Range: bytes 0-4/5\nContent-Length: 5\n\n" % status
        assert refuses(head), status
    for status in (408, 425, 429, 500, 502, 503, 504):
        said = answer(b"HTTP/1.1 %d Whatever\nContent-Range: bytes 0-4/5\nContent-Length: 5\n\n" % status)
        assert isinstance(said, OSError), status


def test_what_is_no_status_line_is_refused():
    for line in (
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1 20",
        b"HTTP/1.1 2066",
        b"HTTP/1.1 206OK",
        b"HTTP/1.1  206",
        b"HTTP/2.0 206 OK",
        b"HTTP/1.x 206 OK",
        b"http/1.1 206 OK",
        b"ICY 206 OK",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"+OK ready",
    ):
        assert refuses(line + b"\nContent-Range: bytes 0-4/5\n\n"), line


def test_another_range_or_length_is_refused():
    for value in (
        b"bytes 0-3/5",
        b"bytes 1-4/5",
        b"bytes 1-5/5",
        b"bytes 0-4/6",
        b"bytes 0-4/*",
        b"bytes */5",
        b"bytes 00-4/5",
        b"bytes 0-4/5, bytes 0-4/5",
        b"bytes=0-4/5",
        b"items 0-4/5",
        b"bytes 0-4/" + b"5" * 400,
        b"",
    ):
        assert refuses(b"HTTP/1.1 206 OK\nContent-Range: %s\n\n" % value), value
        assert refuses(b"HTTP/1.1 206 OK\nContent-Range: bytes 0-4/5\nContent-Range: %s\n\n" % value), value
    for value in (b"4", b"6", b"05", b"-5", b"5, 5", b"5 5", b"", b"9" * 400):
        assert refuses(b"HTTP/1.1 206 OK\nContent-Range: bytes 0-4/5\nContent-Length: %s\n\n" % value), value
    assert refuses(b"HTTP/1.1 206 OK\nContent-Length: 5\n\n")


def test_codings_are_refused():
    for field in (
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"transfer-encoding: identity",
        b"Content-Encoding: gzip",
        b"Content-Type: multipart/byteranges; boundary=x\nContent-Range: ",
    ):
        assert refuses(b"HTTP/1.1 206 OK\nContent-Range: bytes 0-4/5\n" + field + b"\n\n"), field


def test_lines_that_are_no_fields_are_refused():
    for line in (
        b"folded\n value",
        b"no colon",
        b"Space : x",
        b" Leading: x",
        b"\t",
        b"Content-Range : bytes 0-4/5",
    ):
        assert refuses(b"HTTP/1.1 206 OK\nContent-Range: bytes 0-4/5\n" + line + b"\n\n"), line


def test_lines_and_their_number_are_bounded():
    field = b"X: " + b"y" * (http.LINE_MAX - 5)
    base = b"HTTP/1.1 206 OK\nContent-Range: bytes 0-4/5\n"
    most = http.LINES_MAX - 3
    assert answer(base + (field + b"\n") * most + b"\n") == [b"01234"]
    assert refuses(base + (field + b"\n") * (most + 1) + b"\n")
    assert refuses(base + field + b"y\n\n")
    # Lines without an end, as they come: nothing is kept of them.
    for endless in (b"X" * 100_000, base.replace(b"\n", b"\r\n") + b"X: " + b"y" * 100_000):
        for most in (100, 1_000_000):
            stream = Stream(endless, most)
            assert isinstance(read_all(reader_of(stream)), ValueError)
            assert len(stream.data) > 90_000


def test_more_than_was_announced_is_refused_when_it_comes_with_the_head():
    assert refuses(b"HTTP/1.1 206 OK\nContent-Range: bytes 0-4/5\nContent-Length: 5\n\n", b"012345")


def test_the_end_of_the_connection_raises_wherever_it_comes():
    data = good(0, 4999, 5000)
    for length in (0, 1, 30, len(data) - 5000, len(data) - 4999, len(data) - 1):
        reader = reader_of(Stream(data[:length], end=True), 0, 4999, 5000)
        assert isinstance(read_all(reader), OSError), length


def test_fresh_says_whether_anything_came():
    reader = reader_of(Stream(b"HTTP/1.1", 4))
    said = []
    for _ in range(6):
        assert reader.read() is None
        said.append(reader.fresh)
    assert said == [False, True, True, False, False, False]  # the stream pauses before and after each piece
