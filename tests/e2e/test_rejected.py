"""Updates that a device refuses: nothing is written, and the publisher says why."""

import pytest

from tests.support.cli import Otafleet


def assert_rejected(result, reason):
    assert result.returncode == 3, result.stdout + result.stderr
    assert f"rejected: {reason}" in result.stdout.splitlines()[-1]


@pytest.fixture
def untouched(kitchen):
    """The kitchen twin; afterwards its second slot must never have been written."""
    yield kitchen
    kitchen.off()
    assert not any(count.erases or count.writes for count in kitchen.counts("ota_1"))


def test_a_key_that_the_device_does_not_know(otafleet, untouched, image, publish):
    otafleet.ok("keys", "new", "stranger")
    assert_rejected(otafleet.run(*publish(image("1.1"), key_name="stranger")), "unknown_key")


def test_another_project(otafleet, untouched, image, publish):
    assert_rejected(otafleet.run(*publish(image("1.1", project="toaster"))), "wrong_project")


def test_another_chip(otafleet, untouched, image, publish):
    assert_rejected(otafleet.run(*publish(image("1.1", chip="esp32c3"))), "wrong_chip")


def test_another_hardware_revision(otafleet, untouched, image, publish):
    result = otafleet.run(*publish(image("1.1"), "--hardware", "rev9"))
    assert_rejected(result, "wrong_hardware")


def test_an_image_larger_than_the_slot(otafleet, untouched, image, publish):
    assert_rejected(otafleet.run(*publish(image("1.1", size=0x180000 + 4096))), "too_large")


def test_a_release_below_the_floor(otafleet, kitchen, image, publish):
    older, newer = image("1.1"), image("1.2")
    otafleet.ok(*publish(older))
    otafleet.ok(*publish(newer, "--floor", "self"))
    assert_rejected(otafleet.run(*publish(older)), "below_floor")


def test_without_a_key_there_is_no_update(otafleet, make_twin, image, publish, tmp_path):
    with make_twin(otafleet=Otafleet(tmp_path / "a home without keys", otafleet.broker)):
        assert_rejected(otafleet.run(*publish(image("1.1"))), "no_keys")


def test_an_image_that_rolled_back_is_quarantined(otafleet, kitchen, image, publish):
    broken = publish(image("1.1", b"raise RuntimeError\n"), "--confirm-s", "1")
    assert otafleet.run(*broken).returncode == 4
    assert_rejected(otafleet.run(*broken), "quarantined")
    assert otafleet.run(*broken, "--attempt", "1").returncode == 4
    assert_rejected(otafleet.run(*broken, "--attempt", "1"), "quarantined")
    assert otafleet.run(*broken, "--sign-again").returncode == 4


def test_an_unknown_device(otafleet, kitchen, image, key):
    result = otafleet.run("publish", image("1.1"), "--key", key, "--device", "cellar")
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    assert "unknown device cellar" in result.stderr
