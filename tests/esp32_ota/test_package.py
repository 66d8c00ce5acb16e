"""`mpremote mip install agent/esp32_ota/package.json` puts the package, all of it, on a board."""

import json
import subprocess

from broker_tools.flash.vfs import Volume
from tests.support.paths import ROOT, program
from tests.support.repl_board import ReplBoard

PACKAGE = ROOT / "agent" / "esp32_ota"
SOURCES = {f"esp32_ota/{path.name}": path.name for path in PACKAGE.glob("*.py")}


def test_the_package_names_every_file_and_no_other():
    assert dict(json.loads((PACKAGE / "package.json").read_text())["urls"]) == SOURCES


def test_mpremote_installs_it_from_a_checkout(tmp_path):
    flash = tmp_path / "files"
    flash.write_bytes(Volume(0x80000).data)
    with ReplBoard(flash) as board:
        command = [
            program("mpremote"),
            "connect",
            board.port,
            "mip",
            "install",
            "--target",
            "/lib",
            "--no-mpy",
        ]
        subprocess.run([*command, "agent/esp32_ota/package.json"], cwd=ROOT, check=True, timeout=100)
    files = Volume(0x80000, flash.read_bytes())
    for installed, source in SOURCES.items():
        assert files.read(f"lib/{installed}") == (PACKAGE / source).read_bytes()
