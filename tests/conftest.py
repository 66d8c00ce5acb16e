"""Fixtures for every test: real brokers, a home, the command, a watcher."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.broker import PROVIDERS, Mosquitto
from tests.support.cli import Otafleet
from tests.support.watcher import Watcher

if TYPE_CHECKING:
    from broker_tools.embedded import EmbeddedBroker


def pytest_configure() -> None:
    """Let Ctrl-C reach the programs that tests start, also where a shell has started all this in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the person who runs the tests choose where mosquitto comes from."""
    parser.addoption(
        "--broker-provider", choices=sorted(PROVIDERS), default="system", help="where mosquitto comes from"
    )


@pytest.fixture
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mosquitto]:
    """A mosquitto of this test's own, started, with the repository's mosquitto.conf."""
    with PROVIDERS[request.config.getoption("--broker-provider")](tmp_path / "mosquitto") as running:
        yield running


@pytest.fixture
def embedded_broker() -> Iterator["EmbeddedBroker"]:
    """The broker that `otafleet demo` brings."""
    from broker_tools.embedded import EmbeddedBroker

    with EmbeddedBroker() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An otafleet home that does not exist yet."""
    return tmp_path / "home"


@pytest.fixture
def otafleet(home: Path, broker: Mosquitto) -> Otafleet:
    """The command, with `home` and `broker`."""
    return Otafleet(home, broker.url)


@pytest.fixture
def watch(broker: Mosquitto) -> Iterator[Callable[..., Watcher]]:
    """Start watchers on `broker`: `watch("fleet/#")`."""
    started: list[Watcher] = []

    def start(*filters: str) -> Watcher:
        started.append(Watcher(broker.url, *filters).__enter__())
        return started[-1]

    yield start
    for watcher in started:
        watcher.__exit__(None, None, None)
