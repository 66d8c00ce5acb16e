"""What ESP-IDF accepts although a bit has flipped, the digest in the signed manifest refuses."""

import hashlib

import pytest

from agent.esp32_ota import image as rules
from broker_tools.provision import agent_folder
from firmware.twin import Twin
from firmware.twin.chips import chip as chip_named
from firmware.twin.image import make_image
from tests.esp32_ota import unseen
from tests.support.images import LAYOUTS, build_image

# Prints whether ota_1 holds the signed image, then every bit with which it still does, flipped.
APP = """
from esp32 import Partition
from agent import device
slot = device.Slot(Partition("ota_1"))
def holds():
    steps = slot.holds(SIGNED)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
block = bytearray(4096)
print("whole", holds())
for bit in BITS:
    n, at = divmod(bit // 8, 4096)
    slot.partition.readblocks(n, block)
    block[at] ^= 1 << bit % 8
    slot.partition.writeblocks(n, block)
    if holds():
        print("missed", bit)
    block[at] ^= 1 << bit % 8
    slot.partition.writeblocks(n, block)
print("whole", holds())
print("END")
"""


@pytest.mark.parametrize("digest", [True, False], ids=["digest", "no-digest"])
@pytest.mark.parametrize("chip", LAYOUTS)
def test_a_flip_that_esp_idf_does_not_see_makes_it_another_image_than_the_signed_one(tmp_path, chip, digest):
    image = build_image(tmp_path, chip, digest=digest)
    elf = rules.descriptor(lambda offset, length: image[offset : offset + length])[6]
    signed = {
        "size": len(image),
        "sha256": hashlib.sha256(image).hexdigest(),
        "app_elf_sha256": elf.hex(),
    }
    target = chip_named(chip)
    bits = sorted(unseen.accepted(image, target).keys() | unseen.beyond_revision(image, target))
    script = APP.replace("SIGNED", repr(signed)).replace("BITS", repr(bits))
    app = make_image(script.encode(), "demo", "1.0", chip)
    folder = tmp_path / "twin"
    Twin.create(folder, app, chip=chip, libs={"agent": agent_folder()}).close()
    lines = []

    def log(line):
        lines.append(line)
        if line == "END" or line.startswith("Traceback"):
            twin.stop()

    twin = Twin(folder, log=log)
    twin.flash.load(twin.partition("ota_1").address, image)
    twin.run()
    twin.close()
    said = [line for line in lines if line.startswith(("whole", "missed", "END", "Traceback"))]
    assert said == ["whole True", "whole True", "END"]
