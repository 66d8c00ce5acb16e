"""Short updates on the broker that comes with the package, with the umqtt.simple that the twin brings."""

import pytest

from tests.e2e.images import CRASHES
from tests.support.cli import Otafleet
from tests.support.twin_device import TwinDevice


@pytest.fixture
def otafleet(home, embedded_broker):
    return Otafleet(home, embedded_broker.url)


@pytest.fixture
def kitchen(tmp_path, otafleet, key, embedded_broker):
    with TwinDevice(tmp_path / "kitchen", otafleet, embedded_broker.url, genuine_umqtt=False) as twin:
        yield twin


def test_an_update_is_confirmed(otafleet, kitchen, image, publish):
    assert "confirmed VALID" in otafleet.ok(*publish(image("1.1")))


def test_a_bad_image_is_undone(otafleet, kitchen, image, publish):
    result = otafleet.run(*publish(image("1.1", CRASHES), "--confirm-s", "1"))
    assert result.returncode == 4, result.stdout + result.stderr


def test_another_project_is_rejected(otafleet, kitchen, image, publish):
    assert otafleet.run(*publish(image("1.1", project="toaster"))).returncode == 3


def test_the_device_loses_its_power(otafleet, kitchen, image, publish):
    with otafleet.start(*publish(image("1.1", size=1_000_000))) as publisher:
        publisher.expect(r"^[1-9]0 %")
        kitchen.off()
        kitchen.on()
        assert publisher.wait() == 0, publisher.output


def test_monitor_shows_the_devices(otafleet, kitchen):
    with otafleet.start("monitor", "--json") as monitor:
        monitor.expect(r'"device": "kitchen", "topic": "state"')
