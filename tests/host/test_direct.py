"""Delivery `direct` without a broker: what a want is answered with."""

import pytest

from agent.protocol import want
from agent.protocol.errors import ProtocolError
from agent.protocol.host import topics
from broker_tools import content, keys
from broker_tools.direct import Direct
from broker_tools.image import parse
from broker_tools.release import Terms, make
from firmware.twin.image import make_image


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    key = keys.create(tmp_path_factory.mktemp("home"), "k")
    # 513 chunks: one more than an index page holds.
    image = parse(make_image(None, "demo", "1", size=512 * 4096 + 16), "test")
    form = content.encode(image.data, "deflate")
    return make(image, form, key, "demo", "1", Terms(sequence=9, floor=0, issued=9))


@pytest.fixture
def direct(release):
    return Direct(release, "fleet", "kitchen", 3)


def ask(direct, w, chunks, pages=(), n=3, content=None):
    return direct.want(want.encode(n, content or direct.release.content, w, chunks, list(pages)))


def sent(direct):
    found = []
    while (message := direct.next()) is not None:
        found.append(message)
    return found


def test_a_window_is_sent_in_order_pages_first(direct, release):
    assert ask(direct, 1, [[5, 2], [511, 2]], [1])
    form = release.form
    assert sent(direct) == [
        (topics.page("fleet", "kitchen", form.name, 1), form.pages[1]),
        *(
            (topics.chunk("fleet", "kitchen", form.name, i * 4096), form.payloads[i])
            for i in (5, 6, 511, 512)
        ),
    ]
    assert direct.next() is None


def test_a_newer_want_replaces_what_was_not_sent_yet(direct):
    ask(direct, 1, [[0, 8]])
    first = direct.next()
    ask(direct, 2, [[20, 1]])
    topic_of = [message[0].rpartition("/")[2] for message in (first, *sent(direct))]
    assert topic_of == ["0", str(20 * 4096)]


def test_never_more_than_one_window_is_queued(direct):
    for w in range(1, 1000):
        ask(direct, w, [[0, 16]])
    assert len(sent(direct)) == 16


@pytest.mark.parametrize("change", [{"n": 2}, {"n": 4}, {"content": "0" * 16}, {"w": 7}, {"w": 6}], ids=str)
def test_wants_that_are_not_ours_or_not_new_are_ignored(direct, change):
    ask(direct, 7, [[0, 1]])
    sent(direct)
    assert not ask(direct, **({"w": 8, "chunks": [[1, 1]]} | change))
    assert sent(direct) == []


def test_after_a_restart_any_number_is_new(direct):
    ask(direct, 7, [[0, 2]])
    direct.restart()
    assert sent(direct) == []
    assert ask(direct, 0, [[1, 1]])
    assert len(sent(direct)) == 1


@pytest.mark.parametrize(("chunks", "pages"), [([[512, 2]], ()), ([[513, 1]], ()), ([[0, 1]], (2,))])
def test_what_the_content_does_not_have_is_refused_whole(direct, chunks, pages):
    with pytest.raises(ProtocolError) as caught:
        ask(direct, 1, chunks, pages)
    assert caught.value.reason == "bad_want"
    assert sent(direct) == []
    assert ask(direct, 1, [[0, 1]])


def test_progress_is_the_furthest_chunk_sent(direct):
    assert direct.progress == 0
    ask(direct, 1, [[300, 2]])
    sent(direct)
    assert direct.progress == 302
    ask(direct, 2, [[1, 1]])
    sent(direct)
    assert direct.progress == 302
