"""agent/web.py on a real MicroPython against a real web server, with every kind of wrong answer."""

import hashlib
import random

import pytest

from tests.support.broker import free_port
from tests.support.micropython import micropython_output
from tests.support.web import WebServer, change
from tests.support.web_client import ALL, CHUNK, FILES, IMAGE, INDEX, TWO, fetch, right


@pytest.fixture
def server():
    with WebServer(FILES) as running:
        yield running


# What goes well


def test_an_image_and_its_index_come_over_one_connection(server):
    told = fetch(server.url + "/app.bin", asks=ALL)
    assert told["came"] == right(ALL)
    assert (told["connects"], server.connections, told["refused"]) == (1, 1, "")
    assert server.requests == [
        ("/app.bin.index", "bytes=0-199"),
        ("/app.bin", "bytes=0-8191"),
        ("/app.bin", "bytes=8192-24575"),
        ("/app.bin", "bytes=24576-57343"),
        ("/app.bin", f"bytes=57344-{len(IMAGE) - 1}"),
    ]


def test_gaps_are_asked_for_one_by_one(server):
    asks = [[[0, 2, 3, 7, 24], []]]
    assert fetch(server.url + "/app.bin", asks=asks)["came"] == right(asks)
    assert server.connections == 1
    assert [wanted for _, wanted in server.requests] == [
        "bytes=0-4095",
        "bytes=8192-16383",
        "bytes=28672-32767",
        f"bytes=98304-{len(IMAGE) - 1}",
    ]


def test_a_long_index_comes_in_pages():
    size = 1500 * CHUNK
    index = random.Random(9).randbytes(1500 * 8)
    with WebServer({"/app.bin.index": index}) as server:
        told = fetch(server.url + "/app.bin", asks=[[[], [0]], [[], [1, 2]]], size=size)
    assert told["came"] == [
        [f"index/{page}", hashlib.sha256(index[page * CHUNK : (page + 1) * CHUNK]).hexdigest()]
        for page in range(3)
    ]


def test_a_query_is_part_of_the_path():
    with WebServer({"/get?file=app.bin": IMAGE, "/get?file=app.bin.index": INDEX}) as server:
        assert fetch(server.url + "/get?file=app.bin", asks=ALL)["came"] == right(ALL)


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_server_that_closes_after_each_response(version):
    def close(answer):
        answer.version = version
        answer.close = True
        if version == "HTTP/1.1":
            answer.headers["Connection"] = "close"

    with WebServer(FILES, fault=close) as server:
        told = fetch(server.url + "/app.bin", asks=ALL)
        assert told["came"] == right(ALL)
        assert (told["connects"], server.connections) == (5, 5)
        assert told["vain"] == 0


def test_a_server_that_only_says_it_closes():
    with WebServer(FILES, fault=header("Connection", "close")) as server:
        assert fetch(server.url + "/app.bin", asks=ALL)["came"] == right(ALL)
        assert server.connections == 5


def test_a_server_that_closes_without_a_word_between_requests():
    def close(answer):
        answer.close = True

    with WebServer(FILES, fault=close) as server:
        told = fetch(server.url + "/app.bin", asks=ALL)
    assert told["came"] == right(ALL)
    assert told["vain"] == 0


def test_a_response_that_is_cut_short_is_gone_on_with_where_it_ended():
    def cut(answer):
        answer.body = answer.body[:10_000]
        answer.close = True

    with WebServer(FILES, fault=cut) as server:
        told = fetch(server.url + "/app.bin", asks=[[[*range(8)], []]])
        assert told["came"] == right([[[*range(8)], []]])
        assert told["vain"] == 0
        assert [wanted for _, wanted in server.requests] == [
            f"bytes={at}-32767" for at in range(0, 32768, 8192)
        ]


def test_a_slow_server_is_alive():
    def slow(answer):
        answer.pieces = lambda data: [data[at : at + 1000] for at in range(0, len(data), 1000)]

    with WebServer(FILES, fault=slow) as server:
        told = fetch(server.url + "/app.bin", patience=500)
    assert told["came"] == right(TWO)
    assert told["fresh"] >= 8
    assert told["vain"] == 0


def test_asking_ahead_does_not_disturb_what_is_under_way(server):
    script = f"""
from agent.web import Web
web = Web({server.url!r} + "/app.bin", {len(IMAGE)}, bytearray(4096), None)
web.ask([0, 1, 2, 3], [])
came = []
while len(came) < 12:
    if web.wants_connection:
        web.connect()
    got = web.pump()
    if got:
        came.append(got[0])
        if len(came) in (2, 6):
            web.ask([len(came) + 2, len(came) + 3, len(came) + 4, len(came) + 5], [])
print(came)
"""
    assert micropython_output(script) == f"{[str(chunk * CHUNK) for chunk in range(12)]}\n"
    assert server.connections == 1


def test_the_next_request_travels_while_the_last_chunk_is_written(server):
    script = f"""
from select import POLLIN, poll
from agent.web import Web
web = Web({server.url!r} + "/app.bin", {len(IMAGE)}, bytearray(4096), None)
web.ask([0, 2], [])
web.connect()
while not web.pump():
    pass
poller = poll()
poller.register(web.stream, POLLIN)
print(len(poller.poll(5000)))
"""
    assert micropython_output(script) == "1\n"


def test_a_new_connection_is_a_sign_of_life(server):
    server.fault = change(silent=True)
    script = f"""
from agent.web import Web
web = Web({server.url!r} + "/app.bin", {len(IMAGE)}, bytearray(4096), None)
web.ask([0], [])
web.connect()
print(web.pump(), web.receiving, web.pump(), web.receiving)
"""
    assert micropython_output(script) == "None True None False\n"


# What is refused


def header(name, value):
    return lambda answer: answer.headers.__setitem__(name, value)


def no_header(name):
    return lambda answer: answer.headers.pop(name)


def whole(answer):
    answer.status = 200
    answer.headers = {"Content-Length": str(len(IMAGE))}
    answer.body = IMAGE


def redirect(answer):
    answer.status = 302
    answer.headers = {"Location": "/app.bin.index", "Content-Length": "0"}
    answer.body = b""


def chunked(answer):
    del answer.headers["Content-Length"]
    answer.headers["Transfer-Encoding"] = "chunked"
    answer.body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer.body), answer.body)


def endless_line(answer):
    answer.headers["X-Padding"] = "x" * 300_000


def endless_head(answer):
    answer.headers.update({f"X-{number}": "x" * 80 for number in range(3000)})


REFUSED = {
    "404": change(status=404),
    "403": change(status=403),
    "416": change(status=416),
    "whole": whole,
    "redirect": redirect,
    "no Content-Range": no_header("Content-Range"),
    "another range": header("Content-Range", f"bytes 0-8191/{len(IMAGE)}"),
    "another file": header("Content-Range", f"bytes 12288-20479/{len(IMAGE) + 1}"),
    "a file of unknown size": header("Content-Range", "bytes 12288-20479/*"),
    "another length": header("Content-Length", "8191"),
    "chunked": chunked,
    "compressed": header("Content-Encoding", "gzip"),
    "an endless line": endless_line,
    "an endless head": endless_head,
    "no HTTP": change(raw=b"220 ftp.example ready\r\n" * 10),
    "noise": change(raw=random.Random(10).randbytes(50_000)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_answer_that_is_not_what_was_asked_for_is_refused(name):
    with WebServer(FILES, fault=REFUSED[name]) as server:
        told = fetch(server.url + "/app.bin")
        assert (told["refused"], told["came"]) == ("web_refused", [])
        assert not told["waits"]
        assert len(server.requests) == 1


def test_an_image_of_another_size_is_refused(server):
    assert fetch(server.url + "/app.bin", size=len(IMAGE) + 1)["refused"] == "web_refused"
    assert fetch(server.url + "/app.bin", asks=[[[], [0]]], size=26 * CHUNK)["refused"] == "web_refused"


def test_a_refusal_is_forgotten_when_the_source_is_opened_again(server):
    server.fault = REFUSED["404"]
    script = f"""
from agent.web import Web
web = Web({server.url!r} + "/app.bin", {len(IMAGE)}, bytearray(4096), None)
for _ in range(2):
    web.open()
    web.ask([0], [])
    web.connect()
    while not web.refused:
        web.pump()
    print(web.refused, web.stream, web.pump())
"""
    assert micropython_output(script) == "web_refused None None\n" * 2
    assert server.connections == 2


# What is silence


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_says_later_is_asked_again_later(server, status):
    server.fault = change(status=status)
    told = fetch(server.url + "/app.bin", tries=2)
    assert (told["refused"], told["came"], told["vain"]) == ("", [], 2)
    assert (told["connects"], len(server.requests)) == (2, 2)


def test_nobody_listens():
    told = fetch(f"http://localhost:{free_port()}/app.bin", tries=2)
    assert (told["refused"], told["came"], told["connects"], told["waits"]) == ("", [], 2, False)


def test_a_name_that_nobody_knows():
    told = fetch("http://nobody.invalid/app.bin")
    assert (told["refused"], told["came"], told["connects"], told["waits"]) == ("", [], 1, False)


def test_a_server_that_says_nothing_is_asked_again_on_a_new_connection(server):
    server.fault = change(silent=True)
    told = fetch(server.url + "/app.bin", tries=3, patience=150)
    assert (told["refused"], told["came"], told["connects"]) == ("", [], 3)
    assert server.requests == [("/app.bin", "bytes=12288-20479")] * 3


def test_a_server_that_closes_before_it_has_said_anything(server):
    server.fault = change(raw=b"", close=True)
    told = fetch(server.url + "/app.bin", tries=2)
    assert (told["refused"], told["came"], told["connects"]) == ("", [], 2)


# What it costs


def test_a_chunk_costs_little_more_memory_than_its_address_and_view(server):
    script = f"""
import gc
from agent.web import Web
web = Web({server.url!r} + "/app.bin", {len(IMAGE)}, bytearray(4096), None)
def cost(first, count):
    web.ask(list(range(first, first + count)), [])
    if web.wants_connection:
        web.connect()
    used = 0
    while count:
        before = gc.mem_alloc()
        got = web.pump()
        if got or web.receiving:
            used += gc.mem_alloc() - before
        count -= bool(got)
    return used
cost(0, 1)
gc.collect()
gc.disable()
one = cost(4, 1)
print(one, (cost(5, 16) - one) / 15)
"""
    response, chunk = (float(number) for number in micropython_output(script).split())
    assert response < 5000
    assert chunk < 400
