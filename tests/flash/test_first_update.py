"""From a stock download to a confirmed update: esptool flashes the board, a twin boots that flash."""

import pytest

from broker_tools import twins
from broker_tools.flash import table
from firmware.twin.twin import Twin
from tests.e2e.images import WORKS
from tests.support import downloads
from tests.support.board_files import extract
from tests.support.serial_board import SerialBoard


@pytest.mark.timeout(240)
def test_a_board_boots_what_was_flashed_and_takes_its_first_update(otafleet, tmp_path, broker):
    otafleet.ok("keys", "new", "release")
    download = downloads.write(tmp_path)
    with SerialBoard() as board:
        # The broker of this test is on this machine, where no board could reach it: the twin is told below.
        otafleet.ok(
            "flash", board.port, download, "--device", "kitchen", "--project", "demo",
            "--broker", "mqtt://192.0.2.1", "--wifi-ssid", "twin", "--wifi-key", "",
            timeout=110,
        )  # fmt: skip
    flash = bytes(board.flash.data)
    folder = tmp_path / "kitchen"
    twin = Twin.create(folder, downloads.app())
    twin.flash.load(0, flash)
    twin.close()
    (folder / "vfs" / "lib").rmdir()
    (folder / "vfs").rmdir()
    place = table.row(table.for_flash(len(flash)), "vfs")
    extract(flash[place.address : place.address + place.size], folder / "vfs")

    update = tmp_path / "demo-2.bin"
    update.write_bytes(twins.image(WORKS, "demo", "2", size=50_000))
    with (
        otafleet.start("monitor") as monitor,
        otafleet.start(
            "twin", "run", "--device", "kitchen", "--dir", folder, "--broker", broker.url, "--heap", "256k"
        ),
    ):
        monitor.expect("kitchen", timeout=60)
        result = otafleet.run(
            "publish", update, "--key", "release", "--device", "kitchen", "--timeout", "60", timeout=110
        )
    assert result.returncode == 0, result.stdout + result.stderr
