"""Chunks and index pages that are lost, doubled, reordered, spoiled or withheld cost time, never the update."""

import random

import pytest

from agent.protocol.limits import CHUNK, TRIES
from tests.support.proxy_faults import chunk, copies, corrupted, index_page, reordered, withheld

SIZE = 100 * CHUNK


def lost(dice):
    return copies(chunk, lambda: dice.random() >= 0.1)


def doubled(dice):
    return copies(chunk, lambda: 2 if dice.random() < 0.3 else 1)


def swapped(dice):
    return reordered(chunk, dice, 0.2)


def spoiled(dice):
    return corrupted(chunk, lambda: dice.random() < 0.1)


KINDS = [(lost,), (doubled,), (swapped,), (spoiled,), (lost, doubled, swapped, spoiled)]


@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: "+".join(kind.__name__ for kind in kinds))
def test_a_bad_network_all_the_way_costs_one_chunk_per_fault(kitchen, network, update, kinds):
    dice = random.Random(7)
    faults = 0

    def counted(fault):
        def count(crossing):
            nonlocal faults
            passed = list(fault(crossing))
            faults += passed != [crossing.packet]
            return passed

        return count

    network.faults = [counted(kind(dice)) for kind in kinds]
    with update(kitchen, network, SIZE) as running:
        running.ends()
        assert running.extra <= faults
    assert faults > 10


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(withheld(index_page, 1), id="index page withheld"),
        pytest.param(corrupted(index_page, iter([True] * 3 + [False] * 9).__next__), id="index page spoiled"),
        pytest.param(withheld(chunk, 2), id="first window withheld"),
    ],
)
def test_the_first_answers_are_bad(kitchen, network, update, fault):
    network.faults = [fault]
    with update(kitchen, network, 20 * CHUNK) as running:
        running.succeeds(faults=1)


@pytest.mark.parametrize(("which", "reason"), [(index_page, "bad_index"), (chunk, "no_answer")])
def test_a_publisher_that_lies_is_left_in_peace_until_it_comes_back(
    kitchen, network, update, watch, which, reason
):
    seen = watch(kitchen.topic("state"), kitchen.topic("desired"))
    network.faults = [corrupted(which, lambda: True)]
    with update(kitchen, network, CHUNK) as running:
        seen.expect(kitchen.topic("state"), phase="stalled", reason=reason)
        network.faults = []
        # Had it asked a ninth time, that answer would be right, and the update would go on without this.
        offer = seen.expect(kitchen.topic("desired"), n=1)
        seen.publish(offer.topic, offer.payload, retain=True)
        assert running.publisher.wait() == 0, running.publisher.output
    answers = sum(which(crossing) for crossing in network.crossed.items)
    assert TRIES < answers <= TRIES + 2
