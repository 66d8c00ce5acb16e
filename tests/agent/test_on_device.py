"""The agent's parts on a real MicroPython: each function of on_device/*.py alone, of on_twin/*.py on a new twin."""

from pathlib import Path

import pytest

from broker_tools.provision import agent_folder
from firmware.twin import Twin
from firmware.twin.image import make_image
from tests.support.device_cases import functions
from tests.support.micropython import micropython_output
from tests.support.paths import ROOT

ON_DEVICE = Path(__file__).parent / "on_device"
ON_TWIN = Path(__file__).parent / "on_twin"


@pytest.mark.parametrize(("module", "function"), functions(ON_DEVICE))
def test_on_device(module: str, function: str) -> None:
    script = f"import {module}; {module}.{function}(); print('passed')"
    assert micropython_output(script, path=[ROOT, ON_DEVICE]) == "passed\n"


@pytest.mark.parametrize(("module", "function"), functions(ON_TWIN))
def test_on_twin(module: str, function: str, tmp_path: Path) -> None:
    code = f"import {module}\n{module}.{function}()\nprint('passed')\n".encode()
    files = {f"{module}.py": (ON_TWIN / f"{module}.py").read_bytes()}
    Twin.create(
        tmp_path, make_image(code, "demo", "1.0"), files=files, libs={"agent": agent_folder()}
    ).close()
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        if "main.py has ended" in line:
            twin.stop()

    twin = Twin(tmp_path, heap="512k", log=log)
    twin.run()
    twin.close()
    assert "passed" in lines, "\n".join(lines)
