"""`pytest tests/esp32_ota --board PORT` works, shown on a twin behind a port: nobody has to have a board for that."""

import json
import re
import subprocess
import sys

import pytest

from agent.esp32_ota import otadata
from firmware.twin import Twin
from firmware.twin.partition_table import DEFAULT
from tests.esp32_ota import mpremote
from tests.esp32_ota.mpremote import BoardError, Mpremote
from tests.esp32_ota.real_board import refusal
from tests.support.paths import ROOT
from tests.support.twin_on_port import Link, TwinOnPort

# A script; calls, and what lies in flash after them; resets, also in the middle of a call; flash that is loaded before.
KINDS = {
    Link.BRIDGE: (
        "the_stock_class",
        "blocks_of_another_size",
        "marking_the_app_invalid",
        "if_another_is_newer",
    ),
    Link.USB: ("marking_the_app_invalid",),
}
GOOD = {
    "version": [1, 22],
    "programs": ["# a comment\n", ""],
    "table": [
        [1, 0, 0xD000, 0x2000, "otadata"],
        [0, 16, 0x10000, 0x180000, "ota_0"],
        [0, 17, 0x190000, 0x180000, "ota_1"],
    ],
    "running": "ota_1",
    "chip": 5,
}


def run(port, which, *more, tests="tests/esp32_ota/test_trial.py"):
    """Run pytest, as a person does."""
    command = [sys.executable, "-m", "pytest", tests, "--board", str(port), "-k", which, *more]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider"], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("link", Link, ids=lambda link: link.name)
def test_tests_of_every_kind_run_on_a_board_and_leave_it_as_it_was(tmp_path, link):
    with TwinOnPort(tmp_path / "board", link) as board:
        result = run(board.port, " or ".join(KINDS[link]), tests="tests/esp32_ota")
    assert result.returncode == 0, result.stdout
    assert re.search(rf"\b{len(KINDS[link])} passed, \d+ deselected", result.stdout), result.stdout
    assert re.search(r"^ +9  its firmware is a stand-in$", result.stdout, re.MULTILINE), result.stdout
    assert sorted(path.name for path in (board.folder / "vfs").iterdir()) == ["boot.py", "lib"]
    twin = Twin(board.folder)
    table = twin.partition("otadata")
    records = [otadata.parse(twin.flash.read(table.address + at, otadata.RECORD_SIZE)) for at in (0, 4096)]
    twin.close()
    assert records[0][::2] == (1, otadata.VALID)
    assert not otadata.is_sound(records[1])


@pytest.mark.timeout(300)
def test_a_board_that_does_not_roll_back_fails(tmp_path):
    with TwinOnPort(tmp_path / "board", rollback=False) as board:
        result = run(board.port, "not_confirmed_is_rolled_back")
    assert result.returncode == 1, result.stdout
    assert "came to" in result.stdout
    assert "'value': ['ota_1', 'ota_1']" in result.stdout
    assert re.search(r"\b1 failed, \d+ deselected", result.stdout), result.stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": [1, 21]}, "runs MicroPython 1.21: the tests need 1.22 or newer"),
        ({"table": [[0, 0, 0x10000, 0x1F0000, "factory"]]}, "ota_0 and ota_1 alone, the board has factory"),
        ({"table": []}, "the board has none"),
        ({"chip": 2}, "images for esp32, esp32s3, esp32c3 only"),
        ({"programs": ["", "import app\n"]}, "the board's /main.py would run between the calls"),
        ({}, None),
    ],
)
def test_which_boards_are_refused_and_why(change, words):
    reason = refusal({**GOOD, **change})
    assert words in reason if words else reason is None
    bare = {name: GOOD[name] for name in ("version", "programs")}
    assert "no esp32.Partition" in refusal(json.loads(json.dumps(bare)))


def only_line(result):
    """What a refusal says, without the frame that pytest gives it."""
    assert result.returncode == pytest.ExitCode.USAGE_ERROR, result.stdout
    assert "passed" not in result.stdout and "File " not in result.stdout, result.stdout
    return re.search(r"Exit: (.*?) !+$", result.stdout, re.MULTILINE)[1]


def test_a_port_that_is_not_there_is_one_clear_line(tmp_path):
    port = tmp_path / "ttyUSB0"
    assert only_line(run(port, "unconfirmed")) == f"there is no port {port}: is the board plugged in?"


def test_one_board_is_not_shared_by_two_processes(tmp_path):
    result = run(tmp_path, "unconfirmed", "-n", "2")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR, result.stdout
    assert result.stderr.strip() == "ERROR: one board runs one test at a time: leave out -n with --board"


def test_a_file_that_is_no_port_is_refused(tmp_path):
    port = tmp_path / "ttyUSB0"
    port.write_bytes(b"")
    with pytest.raises(BoardError, match=r"^mpremote: failed to access .*ttyUSB0"):
        Mpremote(str(port)).life("exec", "pass")


@pytest.mark.timeout(300)
def test_a_board_without_ota_slots_is_one_clear_line(tmp_path):
    with TwinOnPort(tmp_path / "board", table=DEFAULT[:4]) as board:
        line = only_line(run(board.port, "unconfirmed"))
    need = "the tests need the app partitions ota_0 and ota_1 alone, the board has ota_0"
    assert line == f"{board.port}: {need} (docs/boards.md)"


def test_without_mpremote_there_is_one_clear_line(monkeypatch, tmp_path):
    def missing(name):
        raise FileNotFoundError(name)

    monkeypatch.setattr(mpremote, "program", missing)
    with pytest.raises(BoardError, match="mpremote is not installed: pip install"):
        Mpremote(str(tmp_path))
