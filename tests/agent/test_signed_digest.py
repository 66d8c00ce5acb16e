"""What ESP-IDF accepts although a bit has flipped, the digest in the signed manifest refuses."""

import hashlib

import pytest

from agent.esp32_ota import image as rules
from broker_tools.provision import agent_folder
from firmware.twin import Twin
from firmware.twin.image import make_image

APP = """
from esp32 import Partition
from agent import device
slot = device.Slot(Partition("ota_1"))
steps = slot.holds({})
while True:
    try:
        next(steps)
    except StopIteration as end:
        print("holds", end.value)
        break
print("END")
"""
HASH_APPENDED = 23


@pytest.mark.parametrize(("appended", "said"), [(1, "holds True"), (0, "holds False")])
def test_an_image_with_its_digest_switched_off_is_not_the_signed_one(tmp_path, appended, said):
    image = make_image(b"pass", "demo", "1.0")
    assert image[HASH_APPENDED] == 1
    elf = rules.descriptor(lambda offset, length: image[offset : offset + length])[6]
    signed = {
        "size": len(image),
        "sha256": hashlib.sha256(image).hexdigest(),
        "app_elf_sha256": elf.hex(),
    }
    flipped = image[:HASH_APPENDED] + bytes([appended]) + image[HASH_APPENDED + 1 :]
    assert rules.verify(lambda offset, length: flipped[offset : offset + length], 0x180000)
    app = make_image(APP.format(signed).encode(), "demo", "1.0")
    Twin.create(tmp_path, app, libs={"agent": agent_folder()}).close()
    lines = []

    def log(line):
        lines.append(line)
        if line == "END" or line.startswith("Traceback"):
            twin.stop()

    twin = Twin(tmp_path, log=log)
    twin.flash.load(twin.partition("ota_1").address, flipped)
    twin.run()
    twin.close()
    assert said in lines, lines
