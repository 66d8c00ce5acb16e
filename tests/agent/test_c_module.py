"""The agent lets our C module check signatures and hash slots where the firmware has it.

The module is the stand-in of tests/esp32_ota, which prints what it is asked; the C code's own tests are tests/native.
"""

from broker_tools.provision import agent_folder
from firmware.twin import Twin
from firmware.twin.image import make_image
from tests.support.paths import ROOT

APP = b"""
import sys
from esp32 import Partition
from agent import device, examine

def finish(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value

slot = device.Slot(Partition("ota_1"))
print(finish(slot.digest(1000)))
for signature in (b"good", b"bad"):
    print(finish(examine.verify_steps(b"public", b"digest", signature)))
print("agent.p256" in sys.modules)
print("END")
"""


def test_signatures_and_digests_are_checked_in_c(tmp_path):
    stand_in = (ROOT / "tests" / "esp32_ota" / "on_device" / "c_module.py").read_bytes()
    image = make_image(APP, "demo", "1.0")
    Twin.create(tmp_path, image, files={"lib/_otafleet.py": stand_in}, libs={"agent": agent_folder()}).close()
    lines = []

    def log(line):
        lines.append(line)
        if line == "END" or line.startswith("Traceback"):
            twin.stop()

    twin = Twin(tmp_path, log=log)
    twin.run()
    twin.close()
    assert lines[1 : lines.index("END")] == [
        "sha256 0x190000 1000",
        "b'in C'",
        "p256_verify 6 6 4",
        "True",
        "p256_verify 6 6 3",
        "False",
        "False",
    ]
