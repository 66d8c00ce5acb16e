"""`otafleet twin powercut`: a spread of the sweep, and that it finds a device that is lost."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from broker_tools import exits
from broker_tools.errors import OtafleetError
from broker_tools.powercut.bench import Bench
from broker_tools.powercut.cuts import Cut
from broker_tools.powercut.promises import broken
from firmware.twin import Twin
from tests.support.cli import Otafleet
from tests.support.paths import ROOT


@pytest.fixture
def otafleet(home, tmp_path, monkeypatch):
    """`otafleet` whose temporary files are in a folder of this test, which must be empty afterwards."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    yield Otafleet(home)
    assert list(scratch.iterdir()) == []


def events(output, kind):
    return [event for event in map(json.loads, output.splitlines()) if event["event"] == kind]


@pytest.mark.parametrize(
    ("options", "seed", "cuts"),
    [
        pytest.param(("--sample", "8"), 1, 8, id="a spread"),
        pytest.param(("--sample", "4", "--recovery"), 2, 8, id="again in the recovery"),
        # The only boot of the new image as PENDING_VERIFY.
        pytest.param(("--at", "83", "--at", "171"), 3, 2, id="in the trial"),
    ],
)
def test_no_device_is_lost(otafleet, options, seed, cuts):
    output = otafleet.ok("twin", "powercut", *options, "--seed", str(seed), "--json", timeout=110)
    (summary,) = events(output, "summary")
    assert (summary["cuts"], summary["new"] + summary["old"], summary["lost"]) == (cuts, cuts, 0)
    assert summary["extra_chunks"] <= 16
    assert summary["extra_erases"] <= 1
    for cut in events(output, "cut"):
        assert len(cut["torn"]) == 1 + ("+" in cut["at"])
        assert cut["end"] == "new" or cut["reason"]


def broken_agent(folder):
    """A copy of the packages whose agent resets for ever once it finds a download that a reset has ended."""
    for package in ("agent", "broker_tools", "firmware"):
        shutil.copytree(ROOT / package, folder / package)
    path = folder / "agent" / "work.py"
    head = "def wake_up(agent):\n"
    source = path.read_text()
    assert head in source
    damage = head + '    if agent.phase == "downloading":\n        reset()\n'
    path.write_text(source.replace(head, damage))
    return folder


RUN = [sys.executable, "-P", "-c", "from broker_tools.cli import main; main()"]


def test_an_agent_that_loses_devices_is_found(otafleet, tmp_path):
    packages = broken_agent(tmp_path / "packages")
    result = subprocess.run(
        [*RUN, "twin", "powercut", "--at", "30", "--at", "2"],
        env={**otafleet.environment, "PYTHONPATH": str(packages), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert result.returncode == 1, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    (lost,) = [line for line in lines if line.startswith("LOST")]
    assert re.match(r"LOST at 30 \(\w+ of ota_1 \+ 0x\w+; downloading\): it boots again and again", lost)
    assert lost.endswith("otafleet twin powercut --at 30 --seed 0")
    assert "100 % (2 of 2 cuts: 1 lost, 1 new)" in lines
    assert re.search(r"new: idle +1 +1 +0 +0 +0", result.stdout)
    assert re.search(r"new: downloading +1 +0 +0 +1 +0", result.stdout)
    assert lines[-1].startswith(
        "powercut: 2 cuts, devices lost: 1; 1 ended on the new image, 0 on the old one"
    )
    assert result.stderr == ""


def test_a_device_with_nothing_to_boot_is_lost(tmp_path):
    with Bench(tmp_path) as bench:
        bench.rehearse()
        twin = Twin(bench.updates[0].before)
        twin.flash.load(twin.partition("ota_0").address, bytes(4096))
        twin.close()
        assert "nothing boots" in next(broken(bench.cut(Cut(5), 0).facts))
        with pytest.raises(OtafleetError, match="there is no 9999") as refused:
            bench.cut(Cut(9999), 0)
        assert refused.value.exit_code == exits.USAGE


def test_ctrl_c_ends_it_in_one_line(otafleet):
    with otafleet.start("twin", "powercut") as run:
        run.expect("cuts to be made", timeout=30)
        run.interrupt()
        assert run.wait(30) == 1
        assert run.output.splitlines()[-1] == "otafleet: interrupted"
        assert "Traceback" not in run.output


def test_a_cut_that_does_not_exist(otafleet):
    result = otafleet.run("twin", "powercut", "--at", "x")
    assert (result.returncode, result.stderr) == (
        2,
        "otafleet: 'x' is no cut: write 37, or 37+5 for one with a second\n",
    )
