"""A network that loses, doubles, cuts and falls silent costs time, never the update."""

import itertools
import random

import pytest

from tests.support.proxy import Proxy

SIZE = 400_000


@pytest.fixture
def network(broker):
    with Proxy(broker.url) as proxy:
        yield proxy


@pytest.fixture
def remote_kitchen(make_twin, network):
    """A twin that reaches its broker through `network`."""
    with make_twin(broker=network.url) as twin:
        yield twin


def only_chunks(choose):
    return lambda topic: choose() if "/chunk/" in topic else 1


@pytest.mark.parametrize(
    "copies",
    [
        pytest.param(lambda dice: 0 if dice.random() < 0.1 else 1, id="every tenth chunk is lost"),
        pytest.param(lambda dice: 2 if dice.random() < 0.3 else 1, id="every third chunk comes twice"),
        pytest.param(lambda dice: dice.choice((0, 1, 1, 1, 1, 2)), id="lost and doubled"),
    ],
)
def test_chunks_that_are_lost_or_doubled(otafleet, remote_kitchen, network, image, publish, copies):
    dice = random.Random(7)
    network.copies = only_chunks(lambda: copies(dice))
    otafleet.ok(*publish(image("1.1", size=SIZE)), timeout=110)
    remote_kitchen.off()
    assert {count.erases for count in remote_kitchen.counts("ota_1")} == {0, 1}


def test_a_connection_that_is_cut_again_and_again(otafleet, remote_kitchen, network, image, publish):
    arrived = itertools.count(1)

    def cut_every_thirty():
        if next(arrived) % 30 == 0:
            network.cut()
        return 1

    network.copies = only_chunks(cut_every_thirty)
    otafleet.ok(*publish(image("1.1", size=SIZE)), timeout=110)
    assert network.connections > 3


def test_a_half_open_connection(otafleet, remote_kitchen, network, image, publish):
    arrived = itertools.count(1)

    def freeze_once():
        if next(arrived) == 30:
            network.freeze()
        return 1

    network.copies = only_chunks(freeze_once)
    otafleet.ok(*publish(image("1.1", size=SIZE), "--timeout", "100"), timeout=110)
