"""agent/window.py: which chunks are asked for, and when."""

from agent.protocol.limits import STALLED_S, TRIES, WINDOW_MAX, WINDOW_S
from agent.window import Window


def window(count, missing=None, first=0):
    missing = set(range(first, first + count)) if missing is None else missing
    return Window(first, first + count, lambda chunk: chunk in missing, 0), missing


def take(asking, missing, chunks, now):
    for chunk in chunks:
        missing.discard(chunk)
        asking.arrived(chunk, now)


def test_first_want_is_two_chunks():
    asking, _ = window(100)
    assert asking.ask(0) == [0, 1]
    assert asking.ask(1) is None


def test_only_what_is_missing_is_asked_for():
    asking, _ = window(10, {3, 7})
    assert asking.ask(0) == [3, 7]


def test_next_want_goes_out_when_half_has_arrived():
    asking, missing = window(100)
    asking.ask(0)
    take(asking, missing, [0], 10)
    assert asking.ask(10) == [2, 3, 4, 5]


def test_doubles_up_to_the_limit_while_it_arrives_in_time():
    asking, missing = window(500)
    sizes = []
    for _ in range(12):
        asked = asking.ask(0)
        sizes.append(len(asked))
        take(asking, missing, asked, 10)
    assert sizes[:5] == [2, 4, 8, 16, 16] and max(sizes) == WINDOW_MAX


def test_halves_when_it_takes_too_long():
    asking, missing = window(500)
    for _ in range(4):
        take(asking, missing, asking.ask(0), 10)
    assert asking.size == 16
    asked = asking.ask(1000)
    take(asking, missing, asked, 1000 + WINDOW_S * 1000)
    assert asking.size == 8


def test_a_gap_is_asked_for_first_once_a_later_window_begins_to_arrive():
    asking, missing = window(100)
    assert asking.ask(0) == [0, 1]
    take(asking, missing, [1], 10)
    assert asking.ask(10) == [2, 3, 4, 5]
    take(asking, missing, [2, 3], 20)
    assert 0 in asking.ask(20)


def test_last_chunk_lost_is_asked_for_again_after_silence():
    asking, missing = window(2)
    asking.ask(0)
    take(asking, missing, [0], 10)
    assert asking.ask(10) is None
    assert not asking.silent(10 + WINDOW_S * 1000)
    assert asking.ask(10 + WINDOW_S * 1000) == [1]


def test_nobody_answers_means_stalled_after_the_tries_and_still_asks():
    asking, _ = window(10)
    now = 0
    wants = 0
    while not asking.silent(now):
        wants += 1 if asking.ask(now) else 0
        now += 1000
    assert wants == TRIES
    asking.ask(now)
    assert asking.silent(now + STALLED_S * 1000)
    assert asking.ask(now + STALLED_S * 1000) is not None


def test_bytes_on_the_way_are_a_sign_of_life():
    asking, _ = window(10)
    asking.ask(0)
    for now in range(0, 60_000, 1000):
        asking.alive(now)
        asking.silent(now)
    assert asking.ask(60_000) is None


def test_a_spoiled_chunk_is_asked_for_again_and_a_liar_is_a_stall():
    asking, _ = window(1)
    for _ in range(TRIES):
        assert asking.ask(0) == [0]
        asking.spoiled(0)
    assert asking.silent(0)


def test_every_chunk_arrives_over_a_line_that_loses_every_third():
    asking, missing = window(300)
    now = sent = 0
    while missing:
        for chunk in asking.ask(now) or ():
            sent += 1
            now += 5
            if sent % 3:
                take(asking, missing, [chunk], now)
        now += 100
        asking.silent(now)
    assert sent < 300 * 1.6
