"""The first set-up of a board with a stock download."""

import hashlib
import json

import pytest

from agent.esp32_ota import image as rules
from broker_tools import provision
from broker_tools.flash import bootloader, table
from firmware.twin import partition_table
from tests.flash.setup import IDENTITY, WIFI
from tests.support import downloads
from tests.support.paths import ROOT
from tests.support.serial_board import SerialBoard


def test_everything_is_where_it_belongs(first):
    flash = first[1]
    loader, app = downloads.bootloader("esp32"), downloads.app()
    rows = partition_table.parse(flash[0x8000:0x9000])
    assert flash[0x1000:].startswith(loader)
    assert [(row.label, row.address) for row in rows][:3] == [
        ("nvs", 0x9000),
        ("otadata", 0xD000),
        ("phy_init", 0xF000),
    ]
    assert rows == table.for_flash(4 << 20)
    assert rows[-1].address + rows[-1].size == 4 << 20
    assert flash[0x9000:0xF000] == b"\xff" * 0x6000
    assert flash[0x10000:].startswith(app)


def test_the_files_say_who_the_board_is(first, files_of):
    files = files_of(first[1])
    config = json.loads(files.read("otafleet/device.json"))
    keys = config.pop("keys")
    assert config == {
        "id": "kitchen",
        "project": "demo",
        "hardware": "",
        "prefix": "fleet",
        "broker": "mqtt://192.168.1.5:1884",
        "user": "lamp",
        "password": "dim",
        "floor": 0,
        "wifi": {"ssid": "twin", "key": "walls have ears"},
    }
    assert len(keys) == 1
    assert files.read("boot.py") == (ROOT / "agent" / "boot.py").read_bytes()
    assert files.read("main.py") == (ROOT / "agent" / "main.py").read_bytes()
    for path, content in provision.agent_files().items():
        assert files.read(path) == content


def test_what_goes_on_the_board_is_what_the_agent_needs():
    names = {path.removeprefix("lib/agent/") for path in provision.agent_files()}
    assert {"__init__.mpy", "agent.mpy", "protocol/limits.mpy", "esp32_ota/image.mpy"} <= names
    assert not [name for name in names if name.startswith("protocol/host")]
    assert not names & {"boot.mpy", "main.mpy"}


def test_it_says_what_it_does_and_keeps_the_secrets(first):
    said = first[0].stdout + first[0].stderr
    assert "ESP32" in said
    assert hashlib.sha256(downloads.app()).hexdigest() in said
    assert "read back and compared: bootloader, nvs, otadata, ota_0" in said
    assert "kitchen is set up and runs" in said
    assert "walls have ears" not in said
    assert "dim" not in said


@pytest.mark.parametrize(("chip", "megabytes", "code"), [("esp32s3", 8, 3), ("esp32c3", 16, 4)])
def test_a_larger_flash_gets_larger_slots_and_a_bootloader_that_knows(tmp_path, flash, chip, megabytes, code):
    with SerialBoard(chip, megabytes) as board:
        result = flash(board, downloads.write(tmp_path, chip), *IDENTITY, *WIFI)
    assert result.returncode == 0, result.stderr
    data = bytes(board.flash.data)
    rows = partition_table.parse(data[0x8000:0x9000])
    assert table.row(rows, "ota_1").address == 0x280000
    assert table.row(rows, "vfs").size == (megabytes << 20) - 0x4F0000
    assert data[3] >> 4 == code
    assert bootloader.cut(data[:0x8000], chip)[:3] == downloads.bootloader(chip)[:3]
    assert rules.verify(lambda at, size: data[0x10000 + at : 0x10000 + at + size], 0x270000, chip)


def test_a_dry_run_says_the_same_and_writes_nothing(flash, download):
    with SerialBoard() as board:
        result = flash(board, download, *IDENTITY, *WIFI, "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    regions = {event["name"]: event for event in events if event["event"] == "region"}
    assert regions["ota_0"]["address"] == 0x10000
    assert regions["ota_0"]["sha256"] == hashlib.sha256(downloads.app()).hexdigest()
    assert {"/boot.py", "/main.py", "/lib/agent/agent.mpy"} <= {event.get("path") for event in events}
    assert "walls have ears" not in result.stdout
    assert board.flash.touched == []


def test_your_own_program_and_certificates_go_with_it(flash, download, tmp_path, files_of):
    import trustme

    (tmp_path / "app.py").write_text("print('lamp')\n")
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with SerialBoard() as board:
        more = (
            "--app",
            tmp_path / "app.py",
            "--cafile",
            tmp_path / "ca.pem",
            "--web-host",
            "Images.example",
            "--web-host",
            "192.168.1.6",
            "--hardware",
            "rev-b",
            "--floor",
            "7",
        )
        result = flash(board, download, *IDENTITY, *more)
    assert result.returncode == 0, result.stderr
    assert "no Wi-Fi is given" in result.stdout
    files = files_of(board.flash.data)
    assert files.read("main.py") == b"print('lamp')\n"
    assert files.read("otafleet/ca.pem") == (tmp_path / "ca.pem").read_bytes()
    config = json.loads(files.read("otafleet/device.json"))
    assert (config["hardware"], config["floor"], config["wifi"]) == ("rev-b", 7, None)
    assert config["hosts"] == ["images.example", "192.168.1.6"]
