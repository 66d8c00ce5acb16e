"""Which chunks the publisher sends: only those that the newest want of its own offer asks for."""

import pytest


@pytest.fixture
def offered(device, publish):
    program = publish()
    offer = device.take()
    return program, offer["n"], offer["payload"]["content"], offer


def chunks(device):
    """Numbers of the chunks that have arrived, in order."""
    return [int(topic.rpartition("/")[2]) // 4096 for topic in device.arrived() if "/chunk/" in topic]


def test_wants_of_another_content_or_another_offer_get_nothing(device, offered):
    program, n, content, offer = offered
    device.want(n, "0" * 16, [[0, 4]])
    device.want(n + 1, content, [[4, 4]])
    device.want(n, content, [[8, 1]])
    device.chunk(content, 8)
    assert chunks(device) == [8]
    device.run_new(offer)
    assert program.wait() == 0


def test_an_older_want_gets_nothing(device, offered):
    _, n, content, _ = offered
    device.want(n, content, [[0, 2]], w=70000)
    device.chunk(content, 1)
    device.want(n, content, [[4, 2]], w=69999)
    device.want(n, content, [[6, 2]], w=70000)
    device.want(n, content, [[8, 1]], w=70001)
    device.chunk(content, 8)
    assert chunks(device) == [0, 1, 8]


def test_after_its_storage_was_erased_a_device_may_count_its_wants_from_the_start(device, offered):
    _, n, content, _ = offered
    device.want(n, content, [[0, 1]], w=70000)
    device.chunk(content, 0)
    device.report("downloading", epoch="0badcafe")
    device.want(n, content, [[1, 1]], w=1)
    device.chunk(content, 1)


def test_a_chunk_that_got_lost_is_sent_again_when_asked_for(device, offered):
    _, n, content, _ = offered
    device.want(n, content, [[0, 3]])
    device.chunk(content, 2)
    before = device.mark()
    device.want(n, content, [[1, 1], [30, 1]])
    device.chunk(content, 1, after=before)
    device.chunk(content, 30, after=before)


def test_pages_come_before_the_chunks_of_the_same_want(device, offered):
    _, n, content, _ = offered
    device.want(n, content, [[0, 1]], [0])
    device.chunk(content, 0)
    first = next(topic for topic in device.arrived() if "/chunk/" in topic)
    assert first.endswith("/index/0")


@pytest.mark.parametrize(("ranges", "pages"), [([[36, 2]], []), ([[37, 1]], []), ([[0, 1]], [1])])
def test_a_want_beyond_the_end_is_reported_and_gets_nothing(device, offered, ranges, pages):
    program, n, content, offer = offered
    device.want(n, content, ranges, pages)
    program.expect(r"bad want from kitchen: bad_want: asks beyond the end of the content")
    device.want(n, content, [[36, 1]])
    assert len(device.chunk(content, 36)) == offer["payload"]["component"]["size"] % 4096
    assert chunks(device) == [36]


def test_garbage_on_the_want_topic_is_reported_and_does_no_harm(device, offered, watch):
    program, _, _, offer = offered
    garbage = watch()
    for payload in (b"", b"\0" * 3000, b"[]", b'{"n":1}', b"\xff\xfe", b'{"n":1,"chunks":[[0,17]]}'):
        garbage.publish("fleet/devices/kitchen/want", payload)
    program.expect("bad want from kitchen")
    assert device.fetch(offer)
    device.run_new(offer)
    assert program.wait() == 0
