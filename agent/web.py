"""Delivery `https` and `http`: a web server holds the image and its index, and is asked for ranges of them.

Theory of operation. `ask()` queues runs of consecutive chunks or pages. One request is out at a time; the next leaves
the moment the last byte of a response is here, so that it travels while the flash is written. Connections are kept. One
that ends after it has delivered something is opened again for the rest of the queue; where nothing came, the queue is
forgotten, and this silence tells the window to ask anew after a while.
"""

import gc
from binascii import a2b_base64
from errno import EINPROGRESS
from select import POLLIN, POLLOUT, poll
from socket import SOCK_STREAM, getaddrinfo, socket
from time import ticks_add, ticks_diff, ticks_ms

from .http import Reader, request
from .protocol import index
from .protocol.limits import CHUNK, INDEX_ENTRY
from .protocol.reasons import BAD_CERTIFICATE, WEB_REFUSED
from .urls import split_url

CONNECT_TIMEOUT_MS = 15_000  # for TCP and TLS together; the name look-up has the limit of the network stack
_LOOK_MS = 50  # between two looks at a handshake
_X509 = range(-0x2FFF, -0x1FFF)  # errors that Mbed TLS has of certificates (the module X509 of its error.h)


class Web:
    """The image of `size` bytes at `url`, and its index at `url`.index. `buffer`, of CHUNK bytes, takes what arrives.

    `cafile` is the path of the certificates (PEM) that may vouch for the server, or None: then no https.
    """

    def __init__(self, url, size, buffer, cafile):
        self._scheme, self._host, self._port, self._path = split_url(url)
        self._authority = url.split("/", 3)[2]  # as the Host header wants it (RFC 9110, section 7.2)
        self._sizes = size, index.chunks(size) * INDEX_ENTRY
        self._cafile = cafile
        self._reader = Reader(buffer)
        self._view = memoryview(buffer)
        self._socket = None  # below TLS
        self.stream = None  # what is read and written; None while there is no connection
        self.receiving = False  # whether bytes came with the last pump()
        self.refused = ""  # reason code: the server has answered, but this source is of no use
        self.close()

    def open(self):
        """Forget a refusal: this source gets another chance."""
        self.refused = ""

    def close(self):
        """Drop the connection, and what was asked."""
        self._context = None  # for TLS
        self._forget()

    def address(self, _topic):
        """Nothing of this source comes by MQTT."""

    @property
    def wants_connection(self):
        """Whether there is something to ask and no connection: call connect()."""
        return bool(self._runs) and not self.stream

    def ask(self, chunks, pages):
        """Ask for these chunks and index pages, ascending: after what is still to come, or in its place.

        To ask again for something outstanding is to give all of it up, and the connection that does not deliver it.
        """
        runs = _runs(pages, 1) + _runs(chunks, 0)
        if _overlap(self._runs, runs):
            if self._under_way:
                self._hang_up()
            self._runs = []
        self._runs += runs

    def connect(self):
        """The long step: name look-up, TCP and TLS, up to CONNECT_TIMEOUT_MS. The first request goes out with it.

        A failure is silence. A certificate that does not verify is a refusal.
        """
        self._hang_up()
        limit = ticks_add(ticks_ms(), CONNECT_TIMEOUT_MS)
        try:
            if self._scheme == "https" and not self._context:
                gc.collect()  # contexts and sockets that are out of use hold memory beside the heap
                self._context = _trusting(self._cafile)
            for found in getaddrinfo(self._host, self._port, 0, SOCK_STREAM):
                try:
                    self._dial(found, limit)
                    self._greeted = True
                    return
                except OSError as error:
                    self._hang_up()
                    if error.errno in _X509:
                        raise ValueError
        except ValueError:  # what MicroPython makes of Mbed TLS's verdict on a certificate
            self.refused = BAD_CERTIFICATE
        except (OSError, MemoryError):
            pass
        self._forget()

    def pump(self):
        """Write and read without blocking. Returns (address, payload view) of a chunk or page that has come, or None.

        The address is "<offset>" or "index/<page>". The next pump() overwrites what the view shows.
        """
        # A handshake may have taken longer than the patience of those who wait.
        self.receiving = self._greeted
        self._greeted = False
        if not self.stream:
            return None
        try:
            self._write()
            if not self._under_way:
                return None
            length = self._reader.read()
            self.receiving = self.receiving or self._reader.fresh
        except ValueError:
            self.refused = WEB_REFUSED
            self._forget()
            return None
        except OSError:
            self._lost()
            return None
        return self._arrived(length) if length else None

    def _arrived(self, length):
        """`length` bytes are in the buffer: the first chunk or page of the first run."""
        self._proved = True
        run = self._runs[0]
        number = run[1]
        run[1] += 1
        if not self._reader.left:
            self._runs.pop(0)
            self._under_way = False
            if not self._reader.keep:
                self._hang_up()
            else:
                try:
                    self._write()
                except OSError:
                    self._lost()
        return "index/%d" % number if run[0] else str(number * CHUNK), self._view[:length]

    def _write(self):
        """Write what the socket takes of the request for the first run."""
        if self._runs and not self._under_way:
            kind, first, end = self._runs[0]
            total = self._sizes[kind]
            last = min(end * CHUNK, total) - 1
            self._reader.begin(self.stream, first * CHUNK, last, total)
            self._out = request(self._authority, self._path + (".index" if kind else ""), first * CHUNK, last)
            self._under_way = True
        if self._out:
            sent = self.stream.write(self._out)
            if sent:
                self._out = self._out[sent:]

    def _dial(self, found, limit):
        """Connect to one result of getaddrinfo(). Raises OSError, or what MicroPython raises of a bad certificate."""
        self._socket = sock = socket(found[0], found[1], found[2])
        sock.setblocking(False)
        try:
            sock.connect(found[-1])
        except OSError as error:
            if error.errno != EINPROGRESS:
                raise
        poller = poll()
        poller.register(sock, POLLOUT)
        if not poller.poll(max(0, ticks_diff(limit, ticks_ms()))):
            raise OSError(110)  # ETIMEDOUT; a connection that was refused raises with the first write
        if self._context:
            # The handshake then goes on with every write, and its end is ours to limit: the server may be slow.
            sock = self._context.wrap_socket(sock, server_hostname=self._host, do_handshake_on_connect=False)
        self.stream = sock
        poller.modify(self._socket, POLLIN)
        self._write()
        while self._out:
            if ticks_diff(limit, ticks_ms()) <= 0:
                raise OSError(110)  # ETIMEDOUT
            poller.poll(_LOOK_MS)
            self._write()

    def _lost(self):
        """The connection is gone. One that has delivered something is worth another; one that has not is silence."""
        if self._proved:
            self._hang_up()
        else:
            self._forget()

    def _forget(self):
        self._runs = []  # [1 for the index or 0, first, end] in units of CHUNK; the first may be under way
        self._hang_up()

    def _hang_up(self):
        for end in (self.stream, self._socket):
            if end:
                end.close()
        self.stream = self._socket = None
        self._out = b""  # what is left of the request
        self._under_way = False  # whether the first run has been asked for on this connection
        self._greeted = False  # whether it is new
        self._proved = False  # whether this connection has delivered anything


def _runs(numbers, kind):
    runs = []
    for number in numbers:
        if runs and runs[-1][2] == number:
            runs[-1][2] += 1
        else:
            runs.append([kind, number, number + 1])
    return runs


def _overlap(old, new):
    for kind, first, end in old:
        for other, start, stop in new:
            if kind == other and first < stop and start < end:
                return True
    return False


def _trusting(cafile):
    """An SSLContext that believes the certificates in `cafile` alone. Raises ValueError where there are none."""
    from ssl import CERT_REQUIRED, PROTOCOL_TLS_CLIENT, SSLContext

    context = SSLContext(PROTOCOL_TLS_CLIENT)
    context.verify_mode = CERT_REQUIRED  # MicroPython's own default is not to look
    if not cafile:
        raise ValueError
    loaded = False
    text = bytearray()
    with open(cafile, "rb") as file:
        for line in file:
            if line.startswith(b"-----BEGIN"):
                text = bytearray()
            elif line.startswith(b"-----END"):
                # One by one, and decoded here: MicroPython's unix port knows no PEM before v1.29.
                context.load_verify_locations(cadata=a2b_base64(text))
                loaded = True
            else:
                text += line
    if not loaded:
        raise ValueError
    return context
