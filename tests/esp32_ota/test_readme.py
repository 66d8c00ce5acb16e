"""The sample in README.md does what it says."""

import re

import pytest

from tests.esp32_ota.board import Board
from tests.support.paths import ROOT

pytestmark = pytest.mark.twin_only("it boots an app that does not run on a board")
(SAMPLE,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
MAIN = """
running = Partition(Partition.RUNNING)
print(running.info()[4], running.app_state())
if running.info()[4] == "ota_0":
    update("/images/app.bin")
print("END")
"""


def test_an_image_in_a_file_is_written_booted_and_confirmed(tmp_path, images):
    board = Board(tmp_path, {"app": images["esp32"]}, {"ota_0": "app"})
    assert board.run(SAMPLE + MAIN, resets=2) == ["ota_0 2", "ota_1 2"]


def test_an_image_that_is_cut_short_is_refused(tmp_path, images):
    board = Board(tmp_path, {"app": images["esp32"], "cut": images["esp32"][:-1]}, {"ota_0": "app"})
    script = 'try:\n    update("/images/cut.bin")\nexcept OSError as error:\n    print(error.args[0])\nprint("END")\n'
    assert board.run(SAMPLE + script) == ["-5379"]
