"""What the real code answered: tests/vectors/recorded."""

import gzip
import json

from tests.support.paths import ROOT

DEVICE = ROOT / "tests" / "twin" / "device"
RECORDED = ROOT / "tests" / "vectors" / "recorded"
IMAGES = {path.stem: path.read_bytes() for path in sorted((RECORDED / "images").glob("*.bin"))}


def sequences(name):
    """The sequences of one recording: dicts with ``seed``, ``steps`` and maybe ``target``."""
    with gzip.open(RECORDED / name, "rt") as file:
        return [json.loads(line) for line in file]
