"""The board that is asked, and images to look at: built by esptool for three chips, and a genuine MicroPython."""

import pytest

from tests.esp32_ota import board_option
from tests.esp32_ota.board import Board
from tests.support.images import LAYOUTS, build_image
from tests.support.testdata import genuine_firmware, older_merged_firmware


def pytest_addoption(parser):
    board_option.add(parser)


def pytest_configure(config):
    board_option.check(config)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--board"):
        board_option.select(config, items)


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("--board"):
        board_option.summarise(terminalreporter, config)


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
def real_board(request):
    """The board on the port that --board names, or None."""
    port = request.config.getoption("--board")
    yield from board_option.opened(port) if port else [None]


@pytest.fixture(scope="session")
def chip(real_board):
    """The chip of the board."""
    return real_board.chip if real_board else "esp32"


@pytest.fixture(scope="session")
def app(chip, tmp_path_factory):
    """A small image for that chip: it can be written and verified, but a real board can't run it."""
    return build_image(tmp_path_factory.mktemp("app"), chip)


@pytest.fixture
def size(app):
    return len(app)


@pytest.fixture
def new_board(real_board, chip, tmp_path):
    """Make a board: `new_board(images, slots)` as in Board. In the slots of a real one there is its own app."""

    def make(images, slots):
        if real_board:
            return real_board.prepare(images, slots)
        return Board(tmp_path / "board", images, slots, chip=chip)

    return make


@pytest.fixture
def board(new_board, app):
    """ota_0 runs and is VALID (the bootloader has written its record); ota_1 is erased; "app" is in a file."""
    return new_board({"app": app}, {"ota_0": "app"})


@pytest.fixture
def updated(new_board, app):
    """Like `board`, with an image in ota_1 too."""
    return new_board({"app": app}, {"ota_0": "app", "ota_1": "app"})
