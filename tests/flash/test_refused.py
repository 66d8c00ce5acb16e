"""What is wrong is refused in one line, before anything is erased."""

import pytest

from firmware.twin import partition_table
from tests.flash.setup import IDENTITY, WIFI
from tests.support import downloads
from tests.support.serial_board import SerialBoard
from tests.support.testdata import merged_firmware


def refused(result, *words, code=1):
    assert result.returncode == code, result.stdout + result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("otafleet: ")
    for word in words:
        assert word in line


def file(tmp_path, data):
    path = tmp_path / "firmware.bin"
    path.write_bytes(data)
    return path


def test_another_chip(flash, tmp_path):
    with SerialBoard("esp32c3") as board:
        result = flash(board, downloads.write(tmp_path), *IDENTITY)
    refused(result, "the board is an esp32c3", "is for esp32")
    assert board.flash.touched == []


def test_another_chip_than_you_said(flash, download):
    refused(flash("/dev/null", download, *IDENTITY, "--chip", "esp32s3"), "is for esp32, not esp32s3")


def test_a_flash_that_is_too_small(flash, download):
    with SerialBoard(megabytes=2) as board:
        result = flash(board, download, *IDENTITY)
    refused(result, "2,097,152 bytes of flash", "4 MB")
    assert board.flash.touched == []


def test_an_app_that_fills_more_than_a_slot(flash, tmp_path):
    large = file(tmp_path, downloads.merged(image=downloads.app(size=0x1C0000 + 1)))
    with SerialBoard() as board:
        result = flash(board, large, *IDENTITY)
    refused(result, "a slot on this board holds", "take a smaller build")
    assert board.flash.touched == []


def test_an_app_alone_for_a_board_without_a_bootloader_of_ours(flash, tmp_path):
    with SerialBoard() as board:
        result = flash(board, file(tmp_path, downloads.app()), *IDENTITY)
    refused(result, "an app alone", "take the complete download")
    assert board.flash.touched == []


def test_files_that_would_be_lost(flash, download):
    with SerialBoard() as board:
        board.flash.data[0x8000:0x9000] = partition_table.pack(downloads.STOCK)
        board.flash.data[0x200008:0x200010] = b"littlefs"
        result = flash(board, download, *IDENTITY)
    refused(result, "copy them", "--erase-files", code=2)
    assert board.flash.touched == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), ("has not been set up yet: say --device, --project, --broker",)),
        (("--device", "kitchen", "--project", "demo"), ("say --broker",)),
    ],
)
def test_a_board_that_would_not_know_who_it_is(flash, download, options, words):
    with SerialBoard() as board:
        result = flash(board, download, *options)
    refused(result, *words, code=2)
    assert board.flash.touched == []


def test_another_device(flash, download, used):
    refused(flash(used, download, "--device", "cellar"), "is the device kitchen", code=2)
    assert used.flash.touched == []


def test_a_board_without_a_key_to_trust(flash, download, tmp_path):
    (tmp_path / "home" / "keys" / "release.pub.json").unlink()
    with SerialBoard() as board:
        result = flash(board, download, *IDENTITY)
    refused(result, "otafleet keys new", code=2)
    assert board.flash.touched == []


def test_the_real_download_of_an_old_micropython(flash):
    refused(flash("/dev/null", merged_firmware(), *IDENTITY), "MicroPython 1.16", "1.22 or newer")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (downloads.merged(image=downloads.app(banner=b"# Arduino\n")), "no MicroPython"),
        (b"PK\3\4" + bytes(100_000), "not a merged download"),
        (downloads.merged()[:0x1000], "not a merged download"),
        (downloads.merged()[:-40], "cut short"),
        (b"\xff" * 0x7000 + downloads.merged()[0x7000:], "no bootloader"),
        (downloads.merged()[:100] + b"!" + downloads.merged()[101:], "bootloader in the file is damaged"),
        (downloads.merged("esp32c3", downloads.app("esp32s3")), "bootloader in the file is not for esp32s3"),
    ],
    ids=["arduino", "zip", "head", "short", "no-bootloader", "damaged", "mixed"],
)
def test_a_file_that_is_no_firmware_for_this(flash, tmp_path, data, words):
    refused(flash("/dev/null", file(tmp_path, data), *IDENTITY), "firmware.bin", words)


def test_a_port_that_is_not_there(flash, download):
    refused(flash("/dev/no-such-port", download, *IDENTITY), "/dev/no-such-port", "Could not open")


def test_a_board_that_does_not_answer(flash, download):
    with SerialBoard() as board:
        board.silent = True
        result = flash(board, download, *IDENTITY)
    refused(result, board.port, "Failed to connect", "hold it while it connects")
    assert board.flash.touched == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((*IDENTITY[:4], "--broker", "mqtt://127.0.0.1"), "is the board itself"),
        ((*IDENTITY[:4], "--broker", "mqtts://lamp.example"), "without TLS"),
        ((*IDENTITY, "--wifi-ssid", "home"), "OTAFLEET_WIFI_KEY"),
        ((*IDENTITY, *WIFI[2:]), "goes with --wifi-ssid"),
        ((*IDENTITY, "--agent-only"), "takes no FIRMWARE"),
        ((*IDENTITY, "--web-host", "https://images.example"), "leave scheme, port and path out"),
    ],
)
def test_options_that_can_not_work(flash, download, options, words):
    refused(flash("/dev/null", download, *options), words, code=2)


def test_no_firmware_at_all(flash):
    refused(flash("/dev/null"), "name a FIRMWARE", code=2)


def test_a_program_that_is_no_certificate(flash, download, tmp_path):
    (tmp_path / "ca.pem").write_text("hello")
    refused(
        flash("/dev/null", download, *IDENTITY, "--cafile", tmp_path / "ca.pem"), "no certificate in PEM form"
    )
