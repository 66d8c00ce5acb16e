"""docs/agent.md is true: its samples run on a twin and take updates, and it names every hook and what it is given."""

import ast
import re

import pytest

from tests.e2e.conftest import image, key, make_twin, publish
from tests.support.paths import ROOT

__all__ = ["image", "key", "make_twin", "publish"]

PAGE = (ROOT / "docs" / "agent.md").read_text()
SAMPLES = dict(zip(("step", "asyncio"), re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL), strict=True))
SENSOR = b"""
from time import ticks_ms

def read():
    return ticks_ms() % 100
"""
TOPIC = "house/kitchen/temperature"


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_measures_and_takes_updates(otafleet, make_twin, image, publish, watch, sample):
    code = SAMPLES[sample].encode()
    kitchen = make_twin(app=image("1.0", code).read_bytes(), flash_timing=True)
    (kitchen.folder / "vfs" / "sensor.py").write_bytes(SENSOR)
    seen = watch(TOPIC, kitchen.topic("ack"))
    with kitchen:
        for version in ("1.1", "1.2"):
            otafleet.ok(*publish(image(version, code, size=200_000)))
        seen.expect(TOPIC, after=seen.messages.mark())
        assert "Traceback" not in kitchen.console.output
    # It has measured while the update was under way, too.
    came = [
        message.json["phase"] if message.topic != TOPIC else "measured" for message in seen.messages.items
    ]
    assert "measured" in came[came.index("downloading") : came.index("testing")]


def test_the_page_has_every_hook_with_its_arguments_and_every_long_step():
    tree = ast.parse((ROOT / "agent" / "app.py").read_text())
    [app] = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    hooks = {
        node.name: [argument.arg for argument in node.args.args[1:]]
        for node in app.body
        if isinstance(node, ast.FunctionDef)
    }
    told = {
        name: [part.strip() for part in arguments.split(",") if part]
        for name, arguments in re.findall(r"^#### (\w+)\((.*)\)$", PAGE, re.MULTILINE)
    }
    assert told == hooks
    asked = {
        step
        for path in (ROOT / "agent").glob("*.py")
        for step in re.findall(r'may_take\("(\w+)"\)', path.read_text())
    }
    assert set(re.findall(r'^\| `"(\w+)"` \|', PAGE, re.MULTILINE)) == asked
