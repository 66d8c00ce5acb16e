"""The golden vectors hold on CPython and on MicroPython."""

import json

import pytest

from tests.protocol import vector_checks
from tests.support.micropython import micropython_output
from tests.support.paths import ROOT

FILES = sorted((ROOT / "tests" / "vectors").glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_vectors_hold_on_cpython(path):
    assert vector_checks.failures(json.loads(path.read_text())) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_vectors_hold_on_micropython(path):
    # Its json keeps a whole file of some 100 KB in memory, which no device does.
    assert micropython_output(ROOT / "tests/protocol/vector_checks.py", path, heap="4m") == ""


def test_a_wrong_vector_is_noticed_on_both(tmp_path):
    document = json.loads((ROOT / "tests/vectors/offers.json").read_text())
    document["good"][0]["value"]["n"] += 1
    document["bad"][-1]["reason"] = "other"
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(document))
    assert len(vector_checks.failures(document)) == 2
    output = micropython_output(ROOT / "tests/protocol/vector_checks.py", path, heap="4m")
    assert len(output.splitlines()) == 2
