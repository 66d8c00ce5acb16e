"""Images to look at: built by esptool for three chips, with and without a digest, and a genuine MicroPython."""

import pytest

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
