"""Images to look at: built by esptool for three chips, with and without a digest, and a genuine MicroPython."""

import pytest

from tests.esp32_ota.board import Board
from tests.support.images import LAYOUTS, build_image
from tests.support.testdata import genuine_firmware, older_merged_firmware


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """All images by name: esp32, esp32-nodigest, ..., genuine, genuine-older."""
    folder = tmp_path_factory.mktemp("images")
    built = {}
    for chip in LAYOUTS:
        built[chip] = build_image(folder, chip)
        built[f"{chip}-nodigest"] = build_image(folder, chip, digest=False)
    built["genuine"] = genuine_firmware().read_bytes()
    # The older build ends where esptool says it ends.
    built["genuine-older"] = older_merged_firmware().read_bytes()[0xF000 : 0xF000 + 1_427_216]
    return built


@pytest.fixture(scope="session")
def size(images):
    return len(images["esp32"])


@pytest.fixture
def board(tmp_path, images):
    """ota_0 runs and is VALID (the bootloader has written its record); ota_1 is erased."""
    return Board(tmp_path / "board", {"esp32": images["esp32"]}, {"ota_0": "esp32"})


@pytest.fixture
def updated(tmp_path, images):
    """Like `board`, with an image in ota_1 too."""
    return Board(tmp_path / "board", {"esp32": images["esp32"]}, {"ota_0": "esp32", "ota_1": "esp32"})
