"""From reset to reset: what runs, what survives, what ends a life."""

import pytest

from firmware.twin import Boot, Cause, NothingBoots, PowerCut, Twin, TwinError, make_image
from tests.support import testdata
from tests.twin.bench import make, once, run

SECTOR = 4096


def test_an_image_runs_the_code_it_carries_and_another_one_main_py(tmp_path):
    code = b"print('from the slot', __name__)\nimport machine\nmachine.reset()\n"
    image = make_image(code, "p", "1")
    twin = make(tmp_path / "a", "print('from the file')", image=image, files={"boot.py": b"print('boot')"})
    assert run(twin) == ["boot", "from the slot __main__"]
    assert once(tmp_path / "b", "print('from the file', __name__)") == ["from the file __main__"]


def test_after_set_boot_and_a_reset_the_other_slot_runs_its_own_code(tmp_path):
    code = "from esp32 import Partition\nprint(Partition(Partition.RUNNING).info()[4], {!r})\n"
    new = make_image(
        (code.format("new") + "import machine\nmachine.reset()\n").encode(), "p", "2", size=50_000
    )
    update = """
with open("/new.bin", "rb") as file:
    block = bytearray(4096)
    target = Partition("ota_1")
    n = 0
    while True:
        size = file.readinto(block)
        if not size:
            break
        target.ioctl(6, n)
        target.writeblocks(n, memoryview(block)[:size], 0)
        n += 1
target.set_boot()
import machine
machine.reset()
"""
    old = make_image((code.format("old") + update).encode(), "p", "1")
    twin = make(tmp_path, image=old, files={"new.bin": new})
    assert run(twin, resets=2) == ["ota_0 old", "ota_1 new", "ota_0 old"]
    assert twin.boots == [
        Boot("ota_0", "VALID", Cause.POWER_ON),
        Boot("ota_1", "PENDING_VERIFY", Cause.HARD),
        Boot("ota_0", "VALID", Cause.HARD),
    ]


def test_a_genuine_firmware_image_boots_the_default_app(tmp_path):
    image = testdata.genuine_firmware().read_bytes()
    twin = make(tmp_path, "print('main.py')\nimport machine\nmachine.reset()", image=image)
    assert run(twin) == ["main.py"]
    assert twin.boots[0].slot == "ota_0"


def test_boot_py_that_fails_keeps_main_py_from_running(tmp_path):
    twin = make(tmp_path, "print('main')", files={"boot.py": b"print('boot')\nbad\n"})
    lines = run(twin, until="twin: main.py has ended, the REPL waits")
    assert "main" not in lines
    assert "NameError: name 'bad' isn't defined" in lines


def test_a_program_that_cannot_be_looked_at_is_not_taken_for_none(tmp_path):
    twin = make(tmp_path)
    (tmp_path / "vfs" / "main.py").symlink_to("main.py")
    lines = run(twin, until="twin: main.py has ended, the REPL waits")
    assert any(line.startswith("OSError: ") for line in lines), lines


def test_names_of_boot_py_are_there_in_main_py(tmp_path):
    assert once(
        tmp_path, "print(shared, sorted(sys.modules))", files={"boot.py": b"import sys\nshared = 3\n"}
    ) == ["3 ['esp32', 'machine', 'network', 'socket', 'usocket']"]


CAUSES = """
import machine
print(machine.reset_cause())
"""


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("machine.reset()", Cause.HARD),
        ("machine.soft_reset()", Cause.SOFT),
        ("raise SystemExit", Cause.SOFT),
        ("machine.deepsleep(20)", Cause.DEEPSLEEP),
        ("machine.WDT(timeout=20)\nwhile True: pass", Cause.WATCHDOG),
        ("import esp32\nesp32.Partition('ota_0').ioctl(6, 0)", Cause.HARD),
        ("import esp32\nesp32.Partition(1).writeblocks(300, b'a', 5)", Cause.HARD),
    ],
)
def test_reset_cause_says_why(tmp_path, how, cause):
    twin = make(tmp_path, CAUSES + how)
    assert [line for line in run(twin, resets=1) if line.isdigit()] == ["1", str(int(cause))]


def test_writing_the_running_slot_aborts_before_anything_is_written(tmp_path):
    twin = make(tmp_path, "import esp32\nesp32.Partition(1).writeblocks(0, bytes(4096))")
    lines = run(twin)
    assert lines == ["abort() was called: flash operation at 0x10000, which is in use"]
    assert twin.sector_counts()[0x10000 // SECTOR].erases == 0
    assert twin.flash.read(0x10000, 1) == b"\xe9"


def test_a_reset_never_returns(tmp_path):
    endings = ("machine.reset()", "machine.deepsleep(1)", "machine.soft_reset()")
    program = "import machine\nn = machine.reset_cause()\n"
    for ending in endings:
        twin = make(tmp_path / ending, program + ending + "\nprint('returned')\n")
        assert run(twin, resets=1) == []


def test_a_soft_reset_keeps_the_slot_and_asks_no_bootloader(tmp_path):
    program = """
import machine, esp32
if machine.reset_cause() == machine.PWRON_RESET:
    data = esp32.Partition.find(1, 0)[0]
    data.ioctl(6, 0)
    machine.soft_reset()
print(esp32.Partition(1).info()[4])
machine.reset()
"""
    twin = make(tmp_path, program)
    assert run(twin, resets=1) == ["ota_0"]
    assert [boot.cause for boot in twin.boots] == [Cause.POWER_ON, Cause.SOFT]
    assert twin.flash.read(0xD000, 32) == b"\xff" * 32


def test_deep_sleep_does_not_switch_the_image_and_a_reset_does(tmp_path):
    program = """
import machine, esp32
cause = machine.reset_cause()
print(esp32.Partition(1).info()[4], cause)
if cause == machine.PWRON_RESET:
    with open("/new.bin", "rb") as file:
        target = esp32.Partition("ota_1")
        for n in range(2):
            target.writeblocks(n, file.read(4096))
    target.set_boot()
    machine.deepsleep(20)
machine.reset()
"""
    new = make_image(None, "p", "2", size=8192)
    assert run(make(tmp_path, program, files={"new.bin": new}), resets=2) == ["ota_0 1", "ota_0 4", "ota_1 2"]


def test_deep_sleep_without_end_lasts_until_power_off(tmp_path):
    twin = make(tmp_path, "import machine\nprint('good night')\nmachine.deepsleep()")
    lines = []

    def log(line):
        lines.append(line)
        if line == "--- deep sleep":
            twin.stop()

    twin.log = log
    twin.run()
    assert lines == ["--- boot 1: ota_0 VALID after power-on", "good night", "--- deep sleep"]


def test_a_device_that_boots_nothing_is_reported_and_not_looped(tmp_path):
    image = make_image(None, "p", "1")
    twin = make(tmp_path, image=image[:-1] + bytes((image[-1] ^ 1,)))
    lines = []
    twin.log = lines.append
    with pytest.raises(NothingBoots, match="no slot holds an image that this chip starts"):
        twin.run()
    assert lines[0] == "bootloader: ota_0 is not bootable: its digest is wrong"
    assert twin.boots == []


def test_power_lost_in_an_operation_is_a_power_on(tmp_path):
    program = """
import machine, esp32
print(machine.reset_cause())
target = esp32.Partition("ota_1")
for n in range(5):
    target.writeblocks(n, bytes(4096))
print("done")
machine.reset()
"""
    twin = make(tmp_path, program)
    twin.flash.power_cut = PowerCut(at=2 + 7)  # two are the bootloader's, for blank otadata
    assert run(twin, resets=1) == ["1", "1", "done"]
    assert twin.sector_counts()[0x190000 // SECTOR + 3].erases == 2


def test_power_may_go_in_the_bootloader_too(tmp_path):
    twin = make(tmp_path, "import machine\nmachine.reset()")
    twin.flash.power_cut = PowerCut(at=1)
    run(twin, resets=1)
    assert twin.boots == [Boot("ota_0", "VALID", Cause.POWER_ON)]


def test_a_twin_that_is_off_tells_what_the_next_power_on_would_start(tmp_path):
    twin = make(tmp_path, "import machine\nmachine.reset()")
    assert twin.next_boot() == Boot("ota_0", "VALID", Cause.POWER_ON)
    twin.flash.load(twin.partition("ota_0").address, bytes(SECTOR))
    with pytest.raises(NothingBoots):
        twin.next_boot()


def test_flash_timing_slows_an_operation_down(tmp_path):
    program = """
import esp32
from time import ticks_ms, ticks_diff
start = ticks_ms()
esp32.Partition("ota_1").writeblocks(0, bytes(8192))
print(ticks_diff(ticks_ms(), start) >= 106)
start = ticks_ms()
esp32.Partition("ota_1").readblocks(0, bytearray(8192))
print(ticks_diff(ticks_ms(), start) < 106)
"""
    make(tmp_path, program + "import machine\nmachine.reset()").close()
    lines = []
    twin = Twin(tmp_path, flash_timing=True, log=lines.append)
    twin.run(resets=0)
    assert lines[1:3] == ["True", "True"]


def test_the_heap_is_the_devices_own_and_what_the_twin_takes_comes_on_top(tmp_path):
    program = "import gc\ngc.collect()\nprint(gc.mem_free())"
    assert 127_000 < int(once(tmp_path, program)[0]) <= 131_072


def test_a_heap_that_is_too_small_is_one_clear_line(tmp_path):
    make(tmp_path, "").close()
    with pytest.raises(TwinError, match="is a heap of 1k enough"):
        Twin(tmp_path, heap="1k").run()
