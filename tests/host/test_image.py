"""`otafleet image`: what a file is, or the one line that says why it is no app image."""

import hashlib
import json
import os
import re

import pytest

from broker_tools.content import encode
from broker_tools.flash.table import for_flash, row
from broker_tools.image import SLOTS
from firmware.twin.image import make_image
from tests.host.full_disk import run_limited
from tests.support.images import build_image, esptool_verdict
from tests.support.testdata import genuine_firmware, merged_firmware, older_merged_firmware


@pytest.mark.parametrize("chip", ["esp32", "esp32c3", "esp32s3"])
def test_inspect_says_of_an_image_what_esptool_says(offline, tmp_path, chip):
    data = build_image(tmp_path, chip, version="1.2.3", project="thermostat")
    said = json.loads(offline.ok("image", "inspect", tmp_path / "app.bin", "--json"))
    verdict = esptool_verdict(data, tmp_path)
    assert verdict.sound
    assert (said["version"], said["project"]) == ("1.2.3", "thermostat")
    assert said["version"] == verdict.field("App version")
    assert said["elf_sha256"] == verdict.field("ELF file SHA256")
    assert said["idf"] == verdict.field("ESP-IDF")
    assert (said["chip"], said["size"], said["trailing"]) == (chip, len(data), 0)
    assert said["sha256"] == hashlib.sha256(data).hexdigest()
    assert said["fits"] == ["4 MB stock", "4 MB", "8 MB"]


def test_inspect_of_the_genuine_firmware(offline):
    said = json.loads(offline.ok("image", "inspect", genuine_firmware(), "--json"))
    assert (said["chip"], said["size"], said["project"], said["fits"]) == (
        "esp32",
        1_495_344,
        "",
        ["4 MB stock", "4 MB", "8 MB"],
    )
    assert 0.65 < said["deflated"] / said["size"] < 0.72
    text = offline.ok("image", "inspect", genuine_firmware())
    assert re.search(r"\ndeflate:    1,0\d\d,\d\d\d bytes on the wire, 3\d % less\n", text)
    assert "size:       1,495,344 bytes\n" in text
    assert "project:    (none: publish needs --project)\n" in text


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        (1_572_864, ["4 MB stock", "4 MB", "8 MB"]),
        (1_572_880, ["4 MB", "8 MB"]),
        (1_835_008, ["4 MB", "8 MB"]),
        (1_835_024, ["8 MB"]),
        (2_555_904, ["8 MB"]),
        (2_555_920, []),
    ],
)
def test_the_slots_that_an_image_fits(offline, tmp_path, size, fits):
    path = tmp_path / "app.bin"
    path.write_bytes(make_image(None, "demo", "1", size=size))
    said = json.loads(offline.ok("image", "inspect", path, "--json"))
    assert (said["size"], said["fits"]) == (size, fits)
    if not fits:
        assert "no standard OTA slot" in offline.ok("image", "inspect", path)


def test_the_slots_are_those_of_the_tables_that_are_flashed():
    for name, megabytes in (("4 MB", 4), ("8 MB", 8)):
        assert SLOTS[name] == row(for_flash(megabytes << 20), "ota_0").size


GOOD = make_image(None, "demo", "1.0", size=20_000)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"hello", "does not start with 0xE9"),
        (GOOD[:-100], "cut short"),
        (GOOD[:-33] + bytes([GOOD[-33] ^ 1]) + GOOD[-32:], "its checksum does not match"),
        (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "its SHA-256 does not match"),
        (GOOD[:12] + b"\x63\0" + GOOD[14:], "chip id 99"),
        (GOOD[:32] + bytes(256) + GOOD[288:], "no app descriptor"),
        (GOOD[:1], "cut short"),
    ],
)
def test_what_is_no_app_image_is_one_line(offline, tmp_path, data, said):
    path = tmp_path / "app.bin"
    path.write_bytes(data)
    result = offline.run("image", "inspect", path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"otafleet: {path}")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_merged_download_is_named_as_what_it_is(offline):
    result = offline.run("image", "inspect", merged_firmware())
    assert result.returncode == 1
    assert "otafleet image extract" in result.stderr


@pytest.mark.parametrize("command", ["inspect", "extract"])
def test_what_cannot_be_read_is_one_line(offline, tmp_path, command):
    for path, said in (
        (tmp_path / "nothing", f"otafleet: no file {tmp_path}/nothing\n"),
        (tmp_path, f"otafleet: {tmp_path} is a directory; name an image file\n"),
        (tmp_path / "nothing" / "below", f"otafleet: no file {tmp_path}/nothing/below\n"),
    ):
        result = offline.run("image", command, path)
        assert (result.returncode, result.stderr) == (1, said)


def test_a_file_larger_than_any_flash_is_not_read(offline, tmp_path):
    path = tmp_path / "huge"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 10 * 1024**4)
    result = offline.run("image", "inspect", path)
    assert result.returncode == 1
    assert "is larger than any ESP32's flash" in result.stderr


def test_texts_of_a_descriptor_do_not_reach_the_terminal_as_they_are(offline, tmp_path):
    path = tmp_path / "app.bin"
    path.write_bytes(make_image(None, "\x1b[2Jevil\u202e", "1\n2"))
    text = offline.ok("image", "inspect", path)
    assert "project:    ?[2Jevil?\n" in text
    assert "version:    1?2\n" in text


@pytest.mark.parametrize("firmware", [merged_firmware, older_merged_firmware])
def test_extract_cuts_out_an_image_that_esptool_calls_valid(offline, tmp_path, firmware):
    out = tmp_path / "app.bin"
    said = json.loads(offline.ok("image", "extract", firmware(), "-o", out, "--json"))
    data = out.read_bytes()
    assert (said["out"], said["offset"], said["size"]) == (str(out), 0xF000, len(data))
    assert said["sha256"] == hashlib.sha256(data).hexdigest()
    assert esptool_verdict(data, tmp_path).sound


def test_extract_overwrites_nothing(offline, tmp_path):
    out = tmp_path / "app.bin"
    out.write_bytes(b"mine")
    result = offline.run("image", "extract", merged_firmware(), "--out", out)
    assert result.returncode == 1
    assert result.stderr == f"otafleet: {out} exists; name another file with -o\n"
    assert out.read_bytes() == b"mine"


def test_extract_of_what_is_no_merged_file_is_one_line(offline, tmp_path):
    path = tmp_path / "app.bin"
    path.write_bytes(GOOD)
    result = offline.run("image", "extract", path, "-o", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr.startswith(f"otafleet: {path}: ")
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_full_leaves_no_half_image(offline, tmp_path):
    out = tmp_path / "app.bin"
    result = run_limited(offline, 100, "image", "extract", merged_firmware(), "-o", out)
    assert result.returncode == 1
    assert result.stderr == f"otafleet: cannot write {out}: file too large\n"
    assert not out.exists()


def test_what_does_not_deflate_is_said(offline, tmp_path):
    path = tmp_path / "app.bin"
    path.write_bytes(make_image(None, "demo", "1", size=400_000))
    assert "bytes on the wire, no gain\n" in offline.ok("image", "inspect", path)


def test_the_index_for_a_web_server_is_all_pages_one_behind_the_other(offline, tmp_path):
    path = tmp_path / "app.bin"
    path.write_bytes(make_image(None, "demo", "1", size=2_200_000))
    said = json.loads(offline.ok("image", "index", path, "--json"))
    assert (said["file"], said["index"], said["pages"]) == (str(path), f"{path}.index", 2)
    form = encode(path.read_bytes(), "raw")
    assert (tmp_path / "app.bin.index").read_bytes() == b"".join(form.pages)
    assert [len(page) for page in form.pages[:-1]] == [4096]


def test_an_image_with_padding_is_written_without_it(offline, tmp_path):
    path, out = tmp_path / "app.bin", tmp_path / "www.bin"
    path.write_bytes(GOOD + b"\xff" * 100)
    result = offline.run("image", "index", path)
    assert result.returncode == 1
    assert "has padding, a web server must serve the image alone: write it with -o" in result.stderr
    text = offline.ok("image", "index", path, "-o", out)
    assert text == f"serve {out} and {out}.index, and publish with --delivery https://.../www.bin\n"
    assert out.read_bytes() == GOOD
    assert len((tmp_path / "www.bin.index").read_bytes()) == 5 * 8
    result = offline.run("image", "index", path, "-o", out)
    assert result.stderr == f"otafleet: {out} exists; name another file with -o\n"


def test_a_full_disk_leaves_neither_image_nor_index(offline, tmp_path):
    path, out = tmp_path / "app.bin", tmp_path / "www.bin"
    path.write_bytes(GOOD)
    result = run_limited(offline, 10, "image", "index", path, "-o", out)
    assert result.stderr == f"otafleet: cannot write {out}: file too large\n"
    (tmp_path / "www.bin.index").write_text("mine")
    result = offline.run("image", "index", path, "-o", out)
    assert result.returncode == 1
    assert not out.exists()
    assert (tmp_path / "www.bin.index").read_text() == "mine"
