"""A signing key, images for twins, and a twin named kitchen."""

from pathlib import Path

import pytest

from broker_tools import twins
from tests.e2e.images import WORKS
from tests.support.twin_device import TwinDevice


@pytest.fixture
def key(otafleet):
    otafleet.ok("keys", "new", "release")
    return "release"


@pytest.fixture
def image(tmp_path):
    """Make image files for twins: `image("1.1")`."""

    def make(version, code=WORKS, *, project="demo", chip="esp32", size=100_000) -> Path:
        path = tmp_path / f"{project}-{version}.bin"
        path.write_bytes(twins.image(code, project, version, chip=chip, size=size))
        return path

    return make


@pytest.fixture
def make_twin(tmp_path, otafleet, broker, key):
    """Make twins on `broker` that trust `key`; they are off."""
    made = []

    def make(device="kitchen", **options) -> TwinDevice:
        given = {"otafleet": otafleet, "broker": broker.url, "device": device, **options}
        made.append(TwinDevice(tmp_path / device, **given))
        return made[-1]

    yield make
    for twin in made:
        twin.off()


@pytest.fixture
def kitchen(make_twin):
    """A twin that is on."""
    with make_twin() as twin:
        yield twin


@pytest.fixture
def kitchen_with(make_twin, image):
    """Make a twin whose first image has this program, and switch it on: `kitchen_with(code, heap="160k")`."""

    def start(code, **options) -> TwinDevice:
        twin = make_twin(app=image("1.0", code).read_bytes(), **options)
        twin.on()
        return twin

    return start


@pytest.fixture
def publish(otafleet, key):
    """Arguments of `otafleet publish` to kitchen: `otafleet.run(*publish(file, "--timeout", "9"))`."""

    def arguments(file, *more, key_name=key):
        return ("publish", file, "--key", key_name, "--device", "kitchen", "--timeout", "30", *more)

    return arguments
