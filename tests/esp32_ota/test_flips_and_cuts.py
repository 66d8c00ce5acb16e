"""Every bit around the data of an image, flipped; every image, cut at every sector: what ota_end says of it."""

import pytest

from firmware.twin.chips import chip as chip_named
from tests.esp32_ota import unseen
from tests.esp32_ota.board import SECTOR, SLOT, Board
from tests.esp32_ota.steps import CODES, INVALID, OK, begin, check, end, part_of, resume
from tests.support.images import LAYOUTS

pytestmark = pytest.mark.twin_only("it is a board of each chip in turn, and its images do not run")
BUILT = [chip + digest for chip in LAYOUTS for digest in ("", "-nodigest")]
# Prints how many flips ota_end refuses, and what set_boot says of each other one.
FLIP_EACH = """
from esp32_ota import Partition
slot = Partition("ota_1")
block = bytearray(4096)
def attempt(call, *arguments):
    try:
        call(*arguments)
        return 0
    except OSError as error:
        return error.args[0]
refused = 0
for offset in PLACES:
    n, at = divmod(offset, 4096)
    slot.readblocks(n, block)
    for bit in range(8):
        block[at] ^= 1 << bit
        slot.writeblocks(n, block)
        said = attempt(slot.ota_end, slot.ota_resume())
        if said == REFUSED:
            refused += 1
        else:
            print(offset * 8 + bit, said, attempt(slot.set_boot))
        block[at] ^= 1 << bit
    slot.writeblocks(n, block)
slot.ota_end(slot.ota_resume())
print(refused)
print("END")
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BUILT)
def test_every_flip_of_a_bit_around_the_data_is_refused_where_esp_idf_refuses_it(tmp_path, images, name):
    image = images[name]
    chip = chip_named(name.split("-")[0])
    board = Board(tmp_path, {}, {}, chip=chip.name)
    for address in SLOT.values():
        board.load(address, image)
    places = unseen.frame(image)
    script = FLIP_EACH.replace("PLACES", repr(places)).replace("REFUSED", str(CODES[INVALID]))
    *others, refused = board.run(script)
    expected = dict.fromkeys(unseen.accepted(image, chip), "0 0")
    expected |= dict.fromkeys(unseen.beyond_revision(image, chip), f"0 {CODES[INVALID]}")
    assert dict(line.split(" ", 1) for line in others) == {str(bit): said for bit, said in expected.items()}
    assert int(refused) == len(places) * 8 - len(expected)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [*BUILT, "genuine"])
def test_every_truncation_at_a_sector_is_refused(tmp_path, images, name):
    size = len(images[name])
    chip = "esp32" if name == "genuine" else name.split("-")[0]
    board = Board(tmp_path, {name: images[name]}, {"ota_0": name}, chip=chip)
    rows = [(begin(), OK)]
    for start in range(0, size, SECTOR):
        piece = part_of(name, start, min(SECTOR, size - start))
        rows += [(piece, OK), (end(), OK if start + SECTOR >= size else INVALID), (resume(), OK)]
    check(board, rows)
