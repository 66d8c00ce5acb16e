"""`otafleet twin`: what it is told, what it keeps, and what it refuses in one line."""

import json
import time

import pytest

from broker_tools import provision, twins
from broker_tools.image import parse
from tests.support.cli import Otafleet


@pytest.fixture
def otafleet(home):
    return Otafleet(home)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kitchen"


def run_briefly(otafleet, folder, *options, device="kitchen"):
    """Start a twin, wait for its first boot, press Ctrl-C; return its output."""
    with otafleet.start("twin", "run", "--device", device, "--dir", folder, *options) as run:
        run.expect(r"^--- boot 1:")
        run.interrupt()
        assert run.wait() == 0
        return run.output


def refused(otafleet, *arguments):
    """Run what must be refused with exit code 2 and one line; return that line."""
    result = otafleet.run("twin", *arguments)
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_new_twin_has_defaults_and_every_key_of_the_home(otafleet, folder):
    otafleet.ok("keys", "new", "one")
    otafleet.ok("keys", "new", "two")
    run_briefly(otafleet, folder)
    fields = twins.read_config(folder)
    assert len(fields.pop("keys")) == 2
    assert fields == {
        "id": "kitchen",
        "project": "demo",
        "hardware": "",
        "prefix": "fleet",
        "floor": 0,
        "wifi": {"ssid": "twin", "key": ""},
        "broker": "mqtt://127.0.0.1:1883",
        "user": "",
        "password": "",
    }


def test_a_later_run_changes_only_what_it_is_told(otafleet, folder):
    run_briefly(otafleet, folder, "--project", "lamp", "--broker", "mqtt://ann:secret@127.0.0.1:1884")
    path = folder / "vfs" / provision.CONFIG
    edited = twins.read_config(folder) | {"hardware": "rev3"}
    path.write_text(json.dumps(edited))
    run_briefly(otafleet, folder)
    assert twins.read_config(folder) == edited
    run_briefly(otafleet, folder, "--prefix", "attic")
    assert twins.read_config(folder) == edited | {"prefix": "attic"}


def test_a_twin_without_keys_is_warned_of_and_gets_those_made_later(otafleet, folder):
    assert "it will refuse every update" in run_briefly(otafleet, folder)
    otafleet.ok("keys", "new", "late")
    assert "it will refuse every update" not in run_briefly(otafleet, folder)
    assert len(twins.read_config(folder)["keys"]) == 1


def test_named_keys_only(otafleet, folder):
    for name in ("one", "two"):
        otafleet.ok("keys", "new", name)
    run_briefly(otafleet, folder, "--key", "two")
    kid = json.loads((otafleet.home / "keys" / "two.pub.json").read_text())["kid"]
    assert [key["kid"] for key in twins.read_config(folder)["keys"]] == [kid]


def test_without_a_broker_it_says_so_and_goes_on(otafleet, folder):
    output = run_briefly(otafleet, folder, "--broker", "mqtt://127.0.0.1:1")
    assert "no broker at mqtt://127.0.0.1:1 yet: connection refused" in output


def test_a_new_twin_starts_with_the_given_image(otafleet, folder, tmp_path):
    app = tmp_path / "app.py"
    app.write_text("print('hello from', 6 * 7)\n")
    otafleet.ok("twin", "image", tmp_path / "app.bin", "--app", app, "--project", "demo", "--version", "7")
    with otafleet.start(
        "twin", "run", "--device", "kitchen", "--dir", folder, "--image", tmp_path / "app.bin"
    ) as run:
        run.expect("^hello from 42$")


def test_the_power_is_cut_once_where_it_was_asked_for(otafleet, folder):
    with otafleet.start(
        "twin", "run", "--device", "kitchen", "--dir", folder, "--power-cut-after", "3"
    ) as run:
        run.expect("^--- boot 1: .* after power-on$")
        run.expect("^--- boot 2: .* after a power cut in flash operation 3 at 0x9000$")


def test_a_round_trip_to_the_broker_takes_its_time(otafleet, folder, watch, broker):
    rtt_ms = 400
    arguments = ("--device", "kitchen", "--dir", folder, "--broker", broker.url, "--rtt", str(rtt_ms))
    with watch("fleet/devices/kitchen/state") as seen, otafleet.start("twin", "run", *arguments) as run:
        run.expect("^--- boot 1:")
        began = time.monotonic()
        seen.expect("fleet/devices/kitchen/state")
        # One to open the connection, one for the login, and half of one for the state.
        assert time.monotonic() - began > 2.5 * rtt_ms / 1000


@pytest.mark.parametrize("option", [("--rtt", "-1"), ("--rtt", "x"), ("--power-cut-after", "0")])
def test_numbers_that_cannot_be(otafleet, folder, option):
    result = otafleet.run("twin", "run", "--device", "kitchen", "--dir", folder, *option)
    assert (result.returncode, option[0] in result.stderr, folder.exists()) == (2, True, False)


def test_console_lines_in_json(otafleet, folder):
    with otafleet.start("twin", "run", "--device", "kitchen", "--dir", folder, "--json") as run:
        line = json.loads(run.expect("boot 1:"))
    assert (line["event"], line["text"]) == ("console", "--- boot 1: ota_0 VALID after power-on")


def test_an_image_says_what_it_was_asked_to(otafleet, tmp_path):
    out = tmp_path / "out.bin"
    options = ("--project", "lamp", "--version", "2.1", "--chip", "esp32c3", "--size", "50000", "--json")
    said = json.loads(otafleet.ok("twin", "image", out, *options))
    image = parse(out.read_bytes(), "out.bin")
    assert (image.project, image.version, image.chip, image.sha256) == (
        "lamp",
        "2.1",
        "esp32c3",
        said["sha256"],
    )
    assert out.stat().st_size >= 50_000


def test_a_full_disk_is_one_line(otafleet):
    result = otafleet.run("twin", "image", "/dev/full", "--project", "demo", "--version", "1")
    assert (result.returncode, result.stderr) == (
        1,
        "otafleet: cannot write /dev/full: no space left on device\n",
    )


def test_a_twin_that_already_runs(otafleet, folder):
    with otafleet.start("twin", "run", "--device", "kitchen", "--dir", folder) as run:
        run.expect("boot 1:")
        result = otafleet.run("twin", "run", "--device", "kitchen", "--dir", folder)
    assert result.returncode == 1
    assert result.stderr == f"otafleet: the twin in {folder} is running already\n"


def test_the_folder_of_another_device(otafleet, folder):
    run_briefly(otafleet, folder)
    assert "holds the twin kitchen, not cellar" in refused(
        otafleet, "run", "--device", "cellar", "--dir", folder
    )


def test_an_image_for_a_twin_that_has_one(otafleet, folder, tmp_path):
    run_briefly(otafleet, folder)
    image = tmp_path / "app.bin"
    otafleet.ok("twin", "image", image, "--project", "demo", "--version", "1")
    assert "already holds a twin" in refused(
        otafleet, "run", "--device", "kitchen", "--dir", folder, "--image", image
    )


def test_a_broker_over_tls(otafleet, folder):
    line = refused(otafleet, "run", "--device", "kitchen", "--dir", folder, "--broker", "mqtts://127.0.0.1")
    assert "without TLS" in line
    assert not folder.exists()


@pytest.mark.parametrize(
    ("damage", "says"),
    [("", "is no JSON"), ("[]", "must hold one JSON object"), ('{"id": "cellar"}', "holds the twin cellar")],
)
def test_a_spoiled_device_json(otafleet, folder, damage, says):
    run_briefly(otafleet, folder)
    (folder / "vfs" / provision.CONFIG).write_text(damage)
    result = otafleet.run("twin", "run", "--device", "kitchen", "--dir", folder)
    assert result.returncode in (1, 2)
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
