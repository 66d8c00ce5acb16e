"""The tour in README.md, typed as it stands there."""

import os
import re
import shlex
import subprocess
from contextlib import ExitStack

from tests.support.paths import ROOT, program

STAYS = ("otafleet twin run", "otafleet monitor")
"""Commands that run until Ctrl-C: the reader opens another terminal for the next one."""
ROLLED_BACK = 4


def tour():
    """Command lines of the tour, in order."""
    text = (ROOT / "README.md").read_text().partition("## A tour in five minutes")[2].partition("\n## ")[0]
    return re.findall(r"^ {7}(\S.*)$", text, re.MULTILINE)


def test_the_tour(otafleet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "otafleet").symlink_to(program("otafleet"))
    environment = {**os.environ, **otafleet.environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = {}
    with ExitStack() as terminals:
        for line in tour():
            if line.startswith(STAYS):
                terminals.enter_context(otafleet.start(*shlex.split(line)[1:])).expect(r"boot 1:|kitchen")
                continue
            result = subprocess.run(
                ["sh", "-c", line], env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert "Traceback" not in result.stderr
            ended[line] = result.returncode
    *others, last = ended.items()
    assert [line for line, code in others if code != 0] == []
    assert last[1] == ROLLED_BACK
    assert len(ended) > len(STAYS)
