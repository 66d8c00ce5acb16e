"""The option --board: which tests a real board can run, and what is said of the others."""

from collections import Counter

import pytest

from tests.esp32_ota.mpremote import BoardError, Mpremote
from tests.esp32_ota.real_board import RealBoard

MARK = "twin_only"
TIMEOUT_S = 1800
"""Erasing and writing a slot takes a real board tens of seconds, and a test may do it several times."""
_LEFT_OUT = pytest.StashKey[Counter]()


def add(parser):
    """Add the option."""
    parser.addoption(
        "--board",
        metavar="PORT",
        help="run the tests of esp32_ota on the board on this serial port: its idle OTA slot and its otadata are "
        "overwritten (docs/esp32_ota.md)",
    )


def check(config):
    """Raise UsageError where the option can't be used with another."""
    if config.getoption("--board") and config.getoption("numprocesses", None):
        raise pytest.UsageError("one board runs one test at a time: leave out -n with --board")


def reason(item):
    """Why a test can't run on a board, or None."""
    mark = item.get_closest_marker(MARK)
    if mark is not None:
        return mark.args[0]
    return None if "new_board" in item.fixturenames else "it asks nothing of a board"


def select(config, items):
    """Leave only what a board can run, and give it the time that it needs."""
    reasons = [reason(item) for item in items]
    config.stash[_LEFT_OUT] = Counter(why for why in reasons if why)
    config.hook.pytest_deselected(items=[item for item, why in zip(items, reasons, strict=True) if why])
    items[:] = [item for item, why in zip(items, reasons, strict=True) if not why]
    for item in items:
        item.add_marker(pytest.mark.timeout(TIMEOUT_S), append=False)


def summarise(reporter, config):
    """Say how many tests were left out, and why."""
    left_out = config.stash.get(_LEFT_OUT, Counter())
    if left_out:
        reporter.section("left out with --board", "-")
        reporter.line(f"{left_out.total()} tests do not run on a board:")
        for why, count in left_out.most_common():
            reporter.line(f"{count:>4}  {why}")
    reporter.line("A board does not count how often a sector is erased: only a twin checks that.")


def opened(port):
    """The board, until the end of the tests; it is left on its own firmware. Where it can't be tested, they end."""
    try:
        board = RealBoard(Mpremote(port))
        board.settle()
    except BoardError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    yield board
    board.leave()
