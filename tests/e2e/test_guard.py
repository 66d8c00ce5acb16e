"""The guard alone: boards whose app is on trial and has no agent, under boot.py as it is copied to every board."""

import threading

import pytest

from broker_tools.provision import agent_file
from firmware.twin import Boot, Cause, Twin, make_image, nvs, otadata
from firmware.twin.nvs import Nvs
from firmware.twin.otadata import OtaData, Record

BOOT_PY = agent_file("boot.py")
DEADLINE_MS = 400
LIMIT_S = 30
GIVEN_UP = "--- boot 2: ota_0"


def on_trial(folder, program, *, boot=BOOT_PY, guard_ms=DEADLINE_MS, rollback=True):
    """A twin that is off; its next boot is the first one of the image in ota_1, which runs `program`."""
    twin = Twin.create(folder, make_image(None, "bench", "1"), files={"boot.py": boot}, rollback=rollback)
    image = make_image(program.encode(), "bench", "2", size=8192)
    twin.flash.load(twin.partition("ota_1").address, image)
    # As the bench and then set_boot of the old image leave it.
    records = OtaData(twin.flash, twin.partition("otadata"))
    blank = Record.parse(b"\xff" * 32)
    records.write(0, blank.sealed(1, otadata.VALID))
    records.write(1, blank.sealed(2, otadata.NEW))
    if guard_ms is not None:
        Nvs(twin.flash, twin.partition("nvs")).set(
            (b"otafleet", b"guard_ms"), nvs.I32, guard_ms.to_bytes(4, "little")
        )
    return twin


def run(twin, until):
    """Power it on until it prints a line that begins like this; the lines."""
    lines = []

    def log(line):
        lines.append(line)
        if line.startswith(until):
            twin.stop()

    twin.log = log
    twin.boot_s = 0
    late = threading.Timer(LIMIT_S, twin.stop)
    late.start()
    try:
        twin.run()
    finally:
        late.cancel()
        late.join()
        twin.close()
    assert any(line.startswith(until) for line in lines), "\n".join(lines)
    return lines


BAD = {
    "cannot import its agent": "import an_agent_that_is_not_there",
    "falls into the REPL": "print('hello')",
    "never yields": "while True: pass",
    "sleeps": """
import time
while True:
    time.sleep(60)
""",
    "waits at a socket": """
import socket
server = socket.socket()
server.bind(socket.getaddrinfo("127.0.0.1", 0)[0][-1])
server.listen(1)
server.accept()
""",
    "catches all": """
while True:
    try:
        import an_agent_that_is_not_there
    except:
        pass
""",
    # Some 500 bytes are free again: that is what the twin's own timers need, which take nothing on a chip.
    "holds the whole heap": """
held = None
try:
    while True:
        held = [held]
except MemoryError:
    held = held[0][0][0][0][0][0][0][0]
""",
    "uses the names of boot.py": "guard = pending = at_deadline = reset = unpack = Partition = None",
    "uses a timer": """
from machine import Timer
Timer(0).init(freq=5)
""",
    "resets": """
import machine
machine.reset()
""",
    "is bitten by its watchdog": """
import machine
machine.WDT(timeout=50)
""",
}


@pytest.mark.parametrize("program", BAD.values(), ids=BAD)
def test_an_app_on_trial_is_given_up(tmp_path, program):
    twin = on_trial(tmp_path, program)
    run(twin, GIVEN_UP)
    assert [(boot.slot, boot.state) for boot in twin.boots] == [
        ("ota_1", "PENDING_VERIFY"),
        ("ota_0", "VALID"),
    ]


@pytest.mark.parametrize(
    ("how", "cause"),
    [("soft_reset()", Cause.SOFT), ("deepsleep(1)", Cause.DEEPSLEEP)],
    ids=["soft resets", "deep sleeps"],
)
def test_an_app_that_starts_again_past_the_boot_loader_is_given_up(tmp_path, how, cause):
    # Such an app would begin a deadline anew each time, so one that is far away must do.
    twin = on_trial(tmp_path, f"import machine\nmachine.{how}", guard_ms=86_400_000)
    run(twin, "--- boot 3: ota_0")
    assert twin.boots == [
        Boot("ota_1", "PENDING_VERIFY", Cause.POWER_ON),
        Boot("ota_1", "PENDING_VERIFY", cause),
        Boot("ota_0", "VALID", Cause.HARD),
    ]


CONFIRMS = """
import machine, time
from esp32 import Partition
if machine.reset_cause() == machine.PWRON_RESET:
    Partition.mark_app_valid_cancel_rollback()
    time.sleep_ms({wait})
    {then}
print("lives on")
"""


@pytest.mark.parametrize("then", ["pass", "machine.soft_reset()", "machine.deepsleep(1)", "machine.reset()"])
def test_an_app_that_is_confirmed_is_left_alone(tmp_path, then):
    twin = on_trial(tmp_path, CONFIRMS.format(wait=3 * DEADLINE_MS, then=then))
    run(twin, "lives on")
    assert {boot.slot for boot in twin.boots} == {"ota_1"}


TELLS_OF_THE_END = b"""
import machine
machine.Timer.deinit = lambda timer: print("stopped", timer.number)
"""


def test_the_timer_that_finds_the_app_confirmed_is_stopped(tmp_path):
    boot = TELLS_OF_THE_END + BOOT_PY
    run(on_trial(tmp_path, CONFIRMS.format(wait=10_000, then="pass"), boot=boot), "stopped 1")


TELLS = b"""
import machine
class Timer(machine.Timer):
    def init(self, **settings):
        print("armed", settings["period"])
machine.Timer = Timer
"""


@pytest.mark.parametrize(
    ("guard_ms", "rollback", "armed"),
    [(5_000, True, ["armed 5000"]), (None, True, ["armed 331000"]), (5_000, False, [])],
    ids=["as the agent left it", "the NVS is empty", "a boot loader without rollback"],
)
def test_the_deadline(tmp_path, guard_ms, rollback, armed):
    boot = TELLS + BOOT_PY
    twin = on_trial(tmp_path, "print('ran')\n", boot=boot, guard_ms=guard_ms, rollback=rollback)
    assert [line for line in run(twin, "ran") if line.startswith("armed")] == armed


def test_an_app_that_is_not_on_trial_is_not_guarded(tmp_path):
    twin = Twin.create(
        tmp_path,
        make_image(b"print('ran', sorted(globals()))\n", "bench", "1"),
        files={"boot.py": TELLS + BOOT_PY},
    )
    lines = run(twin, "ran")
    assert not any("armed" in line for line in lines)
    assert "guard" not in lines[-1]  # nor does it leave anything behind
