"""Every module that a device is given can be imported by a real MicroPython on a twin."""

from broker_tools import provision, twins
from firmware.twin.twin import Twin

ELSEWHERE = {"agent.esp32_ota.native"}
"""Needs our C module, and is run by tests/esp32_ota/test_footing.py."""
MODULES = sorted(
    {
        path.removeprefix("lib/").removesuffix(".mpy").replace("/", ".").removesuffix(".__init__")
        for path in provision.agent_files()
    }
    - ELSEWHERE
)
APP = f"""
import gc
for name in {MODULES}:
    gc.collect()
    __import__(name)
    print("imported", name)
import machine
machine.reset()
"""


def test_every_module_of_the_agent_imports_on_a_twin(tmp_path):
    app = twins.image(APP.encode(), "house", "1.0")
    twins.provision(tmp_path / "twin", provision.Settings("house", keys=[]), app=app)
    lines = []
    twin = Twin(tmp_path / "twin", heap="1m", log=lines.append)
    try:
        twin.run(resets=0)
    finally:
        twin.close()
    assert [line.removeprefix("imported ") for line in lines if line.startswith("imported")] == MODULES, lines
