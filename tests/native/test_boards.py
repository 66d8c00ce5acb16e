"""Partition tables and board definitions, as far as they can be judged without MicroPython's own build."""

import json
import re

import pytest

from tests.native import partition_csv
from tests.native.partition_csv import Partition
from tests.support.paths import ROOT

FIRMWARE = ROOT / "firmware"
COMMON = FIRMWARE / "boards" / "common"
BOARDS = {"OTAFLEET_ESP32": "esp32", "OTAFLEET_ESP32_S3": "esp32s3", "OTAFLEET_ESP32_C3": "esp32c3"}
MIB = 1024 * 1024


def table(size):
    return partition_csv.read(FIRMWARE / "partitions" / f"ota-{size}MiB.csv")


@pytest.mark.parametrize("size", [4, 8])
def test_a_partition_table_is_one_that_esp_idf_takes(size):
    assert partition_csv.problems(table(size), size * MIB) == []


@pytest.mark.parametrize("size", [4, 8])
def test_a_partition_table_has_what_updates_and_micropython_need(size):
    parts = {part.name: part for part in table(size)}
    assert list(parts) == ["nvs", "otadata", "phy_init", "ota_0", "ota_1", "vfs"]
    assert parts["ota_0"].size == parts["ota_1"].size
    # With no factory app, slots count from ota_0 where the boot loader starts on blank otadata.
    assert parts["ota_0"].offset == 0x10000
    # The genuine firmware of the tests, 1,495,344 bytes, and room for it to grow.
    assert parts["ota_0"].size >= 1.7 * MIB
    # The agent's sources are some 130 KB; where they are not frozen they are here.
    assert parts["vfs"].size >= 256 * 1024
    assert parts["vfs"].offset + parts["vfs"].size == size * MIB


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (Partition("vfs", "data", "fat", 0x380000, 0x70000), "overlaps"),
        (Partition("vfs", "data", "fat", 0x390000, 0x80000), "ends at"),
        (Partition("vfs", "data", "fat", 0x390800, 0x6F000), "not aligned"),
        (Partition("vfs", "data", "fat", 0x390000, 0x6F800), "not whole sectors"),
        (Partition("vfs", "data", "ext4", 0x390000, 0x70000), "no such type"),
        (Partition("ota_2", "app", "ota_2", 0x391000, 0x6F000), "not aligned"),
        (Partition("ota_1", "data", "fat", 0x390000, 0x70000), "twice"),
        (Partition("otadata2", "data", "ota", 0x390000, 0x2000), "otadata"),
        (Partition("seventeen letters", "data", "fat", 0x390000, 0x70000), "16 bytes"),
    ],
)
def test_a_broken_partition_table_is_found_out(wrong, problem):
    found = partition_csv.problems([*table(4)[:-1], wrong], 4 * MIB)
    assert any(problem in one for one in found), found


def test_cmake_and_make_build_every_source_of_the_module():
    sources = {path.name for path in (FIRMWARE / "native").glob("*.c")}
    cmake = (FIRMWARE / "native" / "micropython.cmake").read_text()
    make = (FIRMWARE / "native" / "micropython.mk").read_text()
    assert set(re.findall(r"\$\{CMAKE_CURRENT_LIST_DIR\}/(\w+\.c)", cmake)) == sources
    assert set(re.findall(r"\$\(OTAFLEET_DIR\)/(\w+\.c)", make)) == sources


def test_there_is_no_board_that_is_not_tested():
    assert {path.name for path in (FIRMWARE / "boards").iterdir()} == {*BOARDS, "common"}


@pytest.mark.parametrize("path", sorted((FIRMWARE / "boards").rglob("*.cmake")), ids=lambda path: path.name)
def test_cmake_names_only_files_that_exist(path):
    text = path.read_text().replace("${CMAKE_CURRENT_LIST_DIR}", str(path.parent))
    text = text.replace("${OTAFLEET_FIRMWARE_DIR}", str(FIRMWARE))
    for name in re.findall(re.escape(str(ROOT)) + r"[^\s\"()]*", text):
        for size in (4, 8):
            named = name.replace("${SIZE}", str(size))
            assert (ROOT / named).exists(), named


@pytest.mark.parametrize(("board", "chip"), BOARDS.items())
def test_a_board_is_the_stock_board_of_its_chip_and_ours(board, chip):
    folder = FIRMWARE / "boards" / board
    stock = board.replace("OTAFLEET_ESP32", "ESP32_GENERIC")
    assert f"set(OTAFLEET_STOCK_BOARD {stock})" in (folder / "mpconfigboard.cmake").read_text()
    assert f'#include "boards/{stock}/mpconfigboard.h"' in (folder / "mpconfigboard.h").read_text()
    about = json.loads((folder / "board.json").read_text())
    assert (about["id"], about["mcu"]) == (board, chip)
    # The boot loader of an ESP32 lies at 0x1000, of later chips at 0.
    assert about["deploy_options"] == {"flash_offset": "0x1000" if chip == "esp32" else "0"}
    for variant in about["variants"]:
        assert (folder / f"mpconfigvariant_{variant}.cmake").is_file()


@pytest.mark.parametrize(("variant", "size"), [("mpconfigvariant_FLASH_8M.cmake", 8), ("", 4)])
def test_every_size_of_flash_has_its_table(variant, size):
    files = (
        [FIRMWARE / "boards" / board / variant for board in BOARDS] if variant else [COMMON / "board.cmake"]
    )
    for path in files:
        assert f"otafleet_flash({size})" in path.read_text()


def test_the_manifest_freezes_what_stock_boards_have_and_of_the_agent_what_a_device_loads(monkeypatch):
    frozen = set()
    included = []

    def package(name, base_path, files):
        frozen.update((COMMON / base_path / name / file).resolve() for file in files)

    monkeypatch.chdir(COMMON)  # as MicroPython's build does
    steps = {"include": included.append, "package": package}
    exec(compile((COMMON / "manifest.py").read_text(), "manifest.py", "exec"), steps)
    assert included == ["$(PORT_DIR)/boards/manifest.py"]
    agent = ROOT / "agent"
    assert frozen == {path for path in agent.rglob("*.py") if agent / "protocol" / "host" not in path.parents}


def test_settings_turn_rollback_on_and_say_what_an_app_is():
    settings = dict(
        line.split("=", 1)
        for line in (COMMON / "sdkconfig.board").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert settings["CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE"] == "y"
    assert settings["CONFIG_APP_EXCLUDE_PROJECT_VER_VAR"] == "n"
    assert settings["CONFIG_APP_EXCLUDE_PROJECT_NAME_VAR"] == "n"


def test_the_guard_in_c_and_the_guard_in_python_wait_as_long():
    startup = (COMMON / "startup.c").read_text()
    boot = (ROOT / "agent" / "boot.py").read_text().replace("_", "")
    deadline = re.search(r"#define DEADLINE_MS \((\d+)\)", startup).group(1)
    assert f"deadline = {deadline}" in boot
    for name in ("NVS_NAMESPACE", "NVS_KEY"):
        value = re.search(rf'#define {name} "(\w+)"', startup).group(1)
        assert f'"{value.replace("_", "")}"' in boot
