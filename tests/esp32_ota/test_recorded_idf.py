"""What ESP-IDF 5.5.1's own code answered and did to flash, our Partition answers and does on the twin.

Every recorded step is judged; recording.py says where we differ on purpose, and how the replay goes on from there.
"""

from collections import Counter

import pytest

from tests.esp32_ota.board import OTADATA, SECTOR, SLOT, SLOT_SIZE, Board
from tests.esp32_ota.recording import AS_IDF, DIFFERENCES, IMAGES, PROGRAMMED, RESTORED, Replay, sequences

GROUPS = 32
END = SLOT["ota_1"] + SLOT_SIZE


def replay(folder, sequence):
    whole = Replay(sequence)
    board = Board(folder, IMAGES, whole.slots, chip=sequence["target"])
    answers = board.call([call.step for call in whole.calls])
    for number, (call, answer) in enumerate(zip(whole.calls, answers, strict=True)):
        found = {key: answer.get(key) for key in call.wanted}
        assert found == call.wanted, (sequence["seed"], number, call.step, call.kind)
    for sector, counted in enumerate(board.counts):
        assert counted.erases == whole.erases[sector], (sequence["seed"], hex(sector * SECTOR))
    left = b"".join(whole.sector(number) for number in range(OTADATA // SECTOR, END // SECTOR))
    assert board.read(OTADATA, len(left)) == left, sequence["seed"]


@pytest.mark.parametrize("group", range(GROUPS))
def test_recorded_calls_answer_and_do_to_flash_what_esp_idf_did(tmp_path, group):
    for sequence in sequences(group, GROUPS):
        replay(tmp_path / str(sequence["seed"]), sequence)


def test_every_step_of_the_recording_is_judged():
    whole = sequences()
    kinds = Counter(call.kind for sequence in whole for call in Replay(sequence).calls)
    # Beside the recorded steps; each brings one sector to what the recording says.
    assert kinds.pop(RESTORED) == 791
    assert kinds == {
        AS_IDF: 34_018,
        PROGRAMMED: 337,
        **{name: difference.steps for name, difference in DIFFERENCES.items()},
    }
    # The images that lie in the slots before the device is switched on.
    images = [step for sequence in whole for step in sequence["steps"] if step["op"] == "flash"]
    assert len(images) == 1_004
    assert kinds.total() + len(images) == sum(len(sequence["steps"]) for sequence in whole) == 36_235
