"""A twin named kitchen behind a bad network, and what must hold whatever that network does.

`pytest tests/faults --every-boundary` cuts the connection at every packet boundary instead of a sample.
"""

from collections.abc import Callable

import pytest

from firmware.twin.image import make_image
from tests.e2e.conftest import key, make_twin, publish
from tests.faults.update import Update, wait_until_known
from tests.support.proxy import Proxy

__all__ = ["key", "make_twin", "publish"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the person who runs the tests have all of them."""
    parser.addoption(
        "--every-boundary", action="store_true", help="cut the connection at every packet boundary"
    )


@pytest.fixture
def network(broker):
    """The network between kitchen and its broker."""
    with Proxy(broker.url) as proxy:
        yield proxy


@pytest.fixture
def image(tmp_path) -> Callable:
    """Make image files in which no chunk is like that of another: `image(20_000)`."""
    made = iter(range(1, 10_000))

    def make(size):
        number = next(made)
        path = tmp_path / f"demo-1.{number}.bin"
        path.write_bytes(make_image(None, "demo", f"1.{number}", size=size, seed=number))
        return path

    return make


@pytest.fixture
def kitchen(make_twin, network):
    """A twin that reaches its broker through `network`; it is on, and known there."""
    with make_twin(broker=network.url) as twin:
        wait_until_known(network)
        yield twin


@pytest.fixture
def update(otafleet, publish, image):
    """Update kitchen behind `network`: `with update(kitchen, network, 20_000) as running: ...`."""

    def start(twin, network, size, *options) -> Update:
        file = image(size)
        command = publish(file, "--device", twin.id, *options)
        return Update(lambda: otafleet.start(*command), twin, network, file)

    return start
