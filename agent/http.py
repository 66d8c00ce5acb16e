"""HTTP/1.1 as far as the agent speaks it: asking for one range of a file, and reading exactly that. No sockets.

A response is believed only if it is status 206 with the very Content-Range that was asked for. Everything else that a
server may say, redirects and chunked transfer coding included, is an answer that is of no use. Section numbers are
those of RFC 9112 (messages) and RFC 9110 (their meaning).
"""

from .protocol.limits import CHUNK

LINE_MAX = 512  # bytes of one line of a response's head, its end included
LINES_MAX = 32  # lines of all heads before a body
# Statuses, besides 5xx, that say "later": they count as no answer (RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4).
_LATER = (b"408", b"425", b"429")


def request(authority, path, first, last):
    """GET for the bytes `first` to `last`, both included (RFC 9110, section 14.1.2)."""
    return b"GET %s HTTP/1.1\r\nHost: %s\r\nRange: bytes=%d-%d\r\nAccept-Encoding: identity\r\n\r\n" % (
        path.encode(),
        authority.encode(),
        first,
        last,
    )


class Reader:
    """Takes responses from a non-blocking stream into `buffer`, a bytearray of CHUNK bytes.

    `begin()` says what was asked for. Then `read()` returns None while something is missing, else the number of bytes
    at the start of `buffer` that are the next CHUNK of the body; `left` bytes of it are still to come. Raises
    ValueError for any other answer, and OSError at the end of the stream or where the server says "later".
    """

    def __init__(self, buffer):
        self.buffer = buffer
        self.fresh = False  # whether the last read() took any byte: a sign of life
        self.keep = False  # whether the connection can be used again after this body
        self.left = 0
        self._view = memoryview(buffer)

    def begin(self, stream, first, last, total):
        """The next response has to be the bytes `first` to `last` of a file of `total` bytes."""
        self._stream = stream
        self.left = last - first + 1
        self._range = b"bytes %d-%d/%d" % (first, last, total)
        self._have = 0  # bytes in the buffer
        self._lines = 0  # of the head so far; -1 in the body
        self._status = False  # whether the status line has come
        self._interim = False  # whether this head is one of 1xx: another follows
        self._ranged = False  # whether it names the range
        self._sized = False  # whether it names the length

    def read(self):
        self.fresh = False
        while self._lines >= 0:
            if not self._head():
                return None
        want = min(CHUNK, self.left)
        if self._have < want:
            self._take(want)
            if self._have < want:
                return None
        self.left -= want
        self._have = 0
        return want

    def _take(self, end):
        """Read into the buffer up to `end`."""
        got = self._stream.readinto(self._view[self._have : end])
        if got is None:
            return False
        if got == 0:
            raise OSError(104)  # ECONNRESET: the server closed the connection
        self.fresh = True
        self._have += got
        return True

    def _head(self):
        """Take the lines that are there. Returns whether to go on: the head has ended, or more bytes have come."""
        start = 0
        while self._lines >= 0:
            end = self.buffer.find(b"\n", start, self._have)
            if end < 0:
                break
            if end - start >= LINE_MAX:
                raise ValueError
            self._line(bytes(self._view[start:end]).rstrip(b"\r"))
            start = end + 1
        rest = self._have - start
        self._view[:rest] = self._view[start : self._have]
        self._have = rest
        if self._lines < 0:
            if rest > self.left:
                raise ValueError
            return True
        if rest >= LINE_MAX:
            raise ValueError
        return self._take(CHUNK)

    def _line(self, line):
        self._lines += 1
        if self._lines > LINES_MAX:
            raise ValueError
        if not self._status:
            self._begins(line)
        elif line:
            self._field(line)
        elif self._interim:
            self._status = False
        elif self._ranged:
            # Without Content-Length the end of the connection ends the body (section 6.3).
            self.keep = self.keep and self._sized
            self._lines = -1
        else:
            raise ValueError

    def _begins(self, line):
        """The status line, section 4."""
        status = line[9:12]
        if (
            line[:7] != b"HTTP/1."
            or line[8:9] != b" "
            or not (line[7:8] + status).isdigit()
            or line[12:13].strip()
        ):
            raise ValueError
        self._status = True
        self._ranged = self._sized = False
        self._interim = status[:1] == b"1" and status != b"101"
        self.keep = line[7:8] != b"0"
        if status[:1] == b"5" or status in _LATER:
            raise OSError(11)  # EAGAIN
        if status != b"206" and not self._interim:
            raise ValueError

    def _field(self, line):
        """One header field, section 5. Its value is compared with the only one that is right, never interpreted."""
        name, colon, value = line.partition(b":")
        name = name.lower()
        value = value.strip().lower()
        if not colon or name != name.strip():
            raise ValueError
        wrong = name == b"transfer-encoding"
        if name == b"connection":
            self.keep = self.keep and b"close" not in value
        elif name == b"content-range":
            self._ranged = True
            wrong = value != self._range
        elif name == b"content-length":
            self._sized = True
            wrong = value != b"%d" % self.left
        elif name == b"content-encoding":
            wrong = value != b"identity"
        if wrong:
            raise ValueError
