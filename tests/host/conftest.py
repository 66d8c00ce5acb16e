"""What the host's tests share: an image, a key, and a device that says what the test wants."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker_tools import keys
from broker_tools.store.database import FILE_NAME, open_engine
from firmware.twin.image import make_image
from tests.host.device import Device
from tests.support.broker import Mosquitto
from tests.support.cli import Otafleet
from tests.support.program import Program

SIZE = 150_000


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    """A valid app image of project demo, version 1.4.0, as a file; 37 chunks."""
    path = tmp_path / "app.bin"
    path.write_bytes(make_image(None, "demo", "1.4.0", size=SIZE))
    return path


@pytest.fixture
def offline(home: Path) -> Otafleet:
    """The command with `home`, for what needs no broker."""
    return Otafleet(home)


@pytest.fixture
def device(broker: Mosquitto) -> Iterator[Device]:
    """A device named kitchen that has reported that it is idle."""
    with Device(broker.url) as connected:
        connected.report()
        yield connected


@pytest.fixture(scope="session")
def used_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the key "release" and an empty store, made once: each test takes a copy."""
    path: Path = tmp_path_factory.mktemp("used")
    keys.create(path, "release")
    open_engine(f"sqlite:///{path / FILE_NAME}").dispose()
    return path


@pytest.fixture
def ready(otafleet: Otafleet, used_home: Path) -> Otafleet:
    """The command with the key "release" and an empty store."""
    shutil.copytree(used_home, otafleet.home)
    return otafleet


@pytest.fixture
def publish(ready: Otafleet, image_file: Path) -> Iterator[Callable[..., Program]]:
    """Start `otafleet publish` of `image_file` to kitchen, with further arguments."""
    started: list[Program] = []

    def start(*arguments: str | Path) -> Program:
        program = ready.start("publish", image_file, "--key", "release", "--device", "kitchen", *arguments)
        started.append(program)
        return program

    yield start
    for program in started:
        program.__exit__(None, None, None)
