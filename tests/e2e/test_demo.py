"""`otafleet demo`: what it shows, how it ends, and that it leaves nothing behind."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.support.cli import Otafleet
from tests.support.paths import ROOT, program
from tests.support.waiting import wait_for
from tests.support.watcher import Watcher

LIMIT_S = 30
"""Seconds that the demo may take, as its issue demands."""
SUMMARY = (
    r"^demo: 3 of 3 updates ended as they must, in (\d+) s: 1\.1 confirmed VALID; "
    r"1\.2 rolled back by itself \(never_started\); 1\.3 rolled back by itself \(unreachable\)$"
)


@pytest.fixture
def demo(home, tmp_path, monkeypatch):
    """`otafleet` whose temporary files are in a folder of this test, which must be empty afterwards."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    yield Otafleet(home)
    assert list(scratch.iterdir()) == []
    assert processes_about(scratch) == []


def processes_about(folder):
    """Command lines of processes that name `folder`: the twin and its MicroPython do."""
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "command"], capture_output=True, text=True, check=True
    ).stdout
    return [line for line in listing.splitlines() if str(folder) in line]


def test_all_three_end_as_they_must_and_in_time(demo):
    result = demo.run("demo", timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    summary = re.search(SUMMARY, result.stdout.splitlines()[-1])
    assert summary, result.stdout
    assert int(summary[1]) < LIMIT_S
    assert "\x1b" not in result.stdout
    assert not demo.home.exists()


def test_on_a_broker_of_the_users_nothing_stays(demo, broker):
    result = demo.run("demo", "--broker", broker.url, "--json", timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["right"] is True
    with Watcher(broker.url, "fleet/#", "fence") as late:
        late.publish("fence", b"")
        late.expect("fence")
        assert [message.topic for message in late.messages.items] == ["fence"]


def test_a_terminal_sees_a_progress_bar(demo):
    shown = b""
    master, slave = pty.openpty()
    environment = {**os.environ, **demo.environment, "TERM": "xterm"}
    environment.pop("NO_COLOR")
    with subprocess.Popen(
        [program("otafleet"), "demo"], stdin=slave, stdout=slave, stderr=slave, env=environment
    ) as run:
        os.close(slave)
        limit = time.monotonic() + 60
        while b"sending" not in shown and time.monotonic() < limit:
            if select.select([master], [], [], 1)[0]:
                shown += os.read(master, 65536)
        run.send_signal(signal.SIGINT)
        drain(master)
        run.wait(30)
    os.close(master)
    assert b"\x1b[" in shown
    assert b"sending" in shown


def drain(terminal):
    """Read until the other end is closed, so that the program can write its last words."""
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        return


def test_ctrl_c_ends_it_in_one_line_and_cleans_up(demo):
    with demo.start("demo") as run:
        run.expect("downloading")
        run.interrupt()
        assert run.wait(30) == 1
        assert run.output.splitlines()[-1] == "otafleet: interrupted"
        assert "Traceback" not in run.output


def test_a_killed_demo_leaves_no_process(home, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with Otafleet(home).start("demo") as run:
        port = run.expect(r"embedded broker at").rpartition(":")[2]
        run.expect("downloading")
        assert processes_about(tmp_path)
        os.kill(run.pid, signal.SIGKILL)
        run.process.wait(10)
        wait_for(lambda: not processes_about(tmp_path), what="the twin has ended")
        wait_for(lambda: not processes_about(f'"port": {port}'), what="the broker has ended")


def test_a_folder_is_kept(demo, tmp_path):
    kept = tmp_path / "kept"
    with demo.start("demo", "--dir", kept) as run:
        run.expect("1 of 3")
        run.interrupt()
        run.wait(30)
    assert (kept / "twin" / "flash.bin").exists()
    assert (kept / "home" / "keys" / "demo.pem").exists()
    again = demo.run("demo", "--dir", kept)
    assert (again.returncode, again.stderr) == (2, f"otafleet: {kept} is not empty: name a new folder\n")


def test_without_a_broker_at_the_url_it_says_so(demo):
    result = demo.run("demo", "--broker", "mqtt://127.0.0.1:1")
    assert (result.returncode, len(result.stderr.splitlines())) == (6, 1)


def test_it_works_from_a_wheel_without_mosquitto(home, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    installed = tmp_path / "installed"
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    code = "import broker_tools, sys; print(broker_tools.__file__); from broker_tools.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-P", "-c", code, "demo"],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(installed),
            "PATH": "/nowhere",
            "OTAFLEET_HOME": str(home),
            "TMPDIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert Path(result.stdout.splitlines()[0]).is_relative_to(installed)
    assert re.search(SUMMARY, result.stdout.splitlines()[-1])
