"""Each `test_…` function of on_device/*.py, run on a real MicroPython: the agent's parts that need no chip."""

import ast
from pathlib import Path

import pytest

from tests.support.micropython import micropython_output
from tests.support.paths import ROOT

CASES = Path(__file__).parent / "on_device"


def _functions() -> list[tuple[str, str]]:
    return [
        (file.stem, node.name)
        for file in sorted(CASES.glob("*.py"))
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


@pytest.mark.parametrize(("module", "function"), _functions())
def test_on_device(module: str, function: str) -> None:
    script = f"import {module}; {module}.{function}(); print('passed')"
    assert micropython_output(script, path=[ROOT, CASES]) == "passed\n"
