"""A network with a round trip time: real delay in both directions, nothing lost, errors and ends passed on."""

import hashlib
import random
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from firmware.twin import Twin
from firmware.twin.latency import Latency
from tests.twin.bench import make, run
from tests.twin.test_network import JOIN

RTT_S = 0.06


@contextmanager
def server(serve):
    """A port that runs `serve(connection)` for each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                with line:
                    serve(line)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def echo(line):
    while data := line.recv(1 << 16):
        line.sendall(data)


@pytest.fixture
def far():
    with Latency(RTT_S) as latency:
        yield latency


def connect(latency, port):
    return socket.create_connection(("127.0.0.1", latency.port("127.0.0.1", port)), timeout=20)


def test_without_a_round_trip_time_nothing_stands_in_between():
    with Latency(0) as latency:
        assert latency.port("127.0.0.1", 1883) == 0


def test_a_question_and_its_answer_take_one_round_trip(far):
    with server(echo) as port:
        began = time.monotonic()
        line = connect(far, port)
        line.sendall(b"a")
        assert line.recv(10) == b"a"
        first = time.monotonic()
        line.sendall(b"b")
        assert line.recv(10) == b"b"
        second = time.monotonic()
        line.close()
    # The first waits for the connection too, which takes a round trip of its own.
    assert first - began >= 2 * RTT_S
    assert second - first >= RTT_S


def test_everything_arrives_in_order_while_nobody_reads(far):
    data = random.Random(1).randbytes(9_000_000)

    def pour(line):
        line.recv(10)
        line.sendall(data)

    with server(pour) as port, connect(far, port) as line:
        line.sendall(b"now")
        got = bytearray()
        while part := line.recv(1 << 20):
            got += part
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def test_an_end_of_one_direction_leaves_the_other(far):
    def answer(line):
        said = b""
        while data := line.recv(100):
            said += data
        line.sendall(said.upper())

    with server(answer) as port, connect(far, port) as line:
        line.sendall(b"over")
        line.shutdown(socket.SHUT_WR)
        assert line.recv(10) == b"OVER"


def test_a_server_that_is_not_there_is_an_error_not_an_end(far):
    with server(echo) as port:
        pass
    with connect(far, port) as line, pytest.raises(ConnectionResetError):
        line.recv(1)


def test_leaving_it_ends_every_connection():
    with server(echo) as port:
        with Latency(RTT_S) as latency:
            line = connect(latency, port)
            line.sendall(b"a")
            assert line.recv(1) == b"a"
        with line:
            assert line.recv(1) == b""


def test_a_twin_is_as_far_from_its_server_as_it_was_told(tmp_path):
    with server(echo) as port:
        program = f"""
{JOIN}
import socket
from time import ticks_diff, ticks_ms
s = socket.socket()
s.connect(socket.getaddrinfo("127.0.0.1", {port})[0][-1])
for word in (b"first", b"again"):
    began = ticks_ms()
    s.write(word)
    print(s.read(5), ticks_diff(ticks_ms(), began) >= {int(RTT_S * 1000)})
s.close()
import machine
machine.reset()
"""
        make(tmp_path, program).close()
        twin = Twin(tmp_path, rtt_s=RTT_S)
        assert run(twin) == ["b'first' True", "b'again' True"]
        twin.close()
