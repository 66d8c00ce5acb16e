"""machine.Timer and machine.WDT fire whatever the program is doing."""

import socket

import pytest

from tests.twin.bench import make, once, run

FIRES = """
import machine
from time import sleep_ms, ticks_ms, ticks_diff

def fired(timer):
    print("fired", 90 <= ticks_diff(ticks_ms(), start) < 1500)
    machine.reset()

start = ticks_ms()
machine.Timer(0).init(mode=machine.Timer.ONE_SHOT, period=100, callback=fired)
"""
BUSY = {
    "sleep": "sleep_ms(60000)",
    "short sleeps": "while True:\n    sleep_ms(1)",
    "tight loop": "while True:\n    pass",
    "arithmetic": "while True:\n    2 ** 2000 % 7",
    "garbage": "while True:\n    bytearray(3000)",
    "poll": "import select\np = select.poll()\np.poll(60000)",
    "end of main.py": "",
    "exception": "import no_such_module",
    "asyncio": "import asyncio\nasyncio.run(asyncio.sleep(60))",
}


@pytest.mark.parametrize("busy", BUSY)
def test_a_one_shot_timer_fires_during(tmp_path, busy):
    assert "fired True" in run(make(tmp_path, FIRES + BUSY[busy]))


def test_a_timer_fires_while_a_socket_waits_for_ever(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        wait = f"""
import network, socket
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect("twin", "")
while not wlan.isconnected():
    sleep_ms(1)
s = socket.socket()
s.connect(socket.getaddrinfo("127.0.0.1", {server.getsockname()[1]})[0][-1])
s.recv(1)
"""
        assert "fired True" in run(make(tmp_path, FIRES.replace("100", "300") + wait))


def test_a_timer_set_in_boot_py_fires_although_main_py_has_died(tmp_path):
    twin = make(tmp_path, "raise ImportError('no agent')", files={"boot.py": FIRES.encode()})
    lines = run(twin)
    assert "ImportError: no agent" in lines
    assert lines[-1] == "fired True"


def test_a_periodic_timer_fires_again_and_again_until_it_is_stopped(tmp_path):
    program = """
from machine import Timer
from time import sleep_ms
count = 0
def tick(timer):
    global count
    count += 1
    if count == 5:
        timer.deinit()
timer = Timer(1, mode=Timer.PERIODIC, period=5, callback=tick)
while count < 5:
    sleep_ms(5)
sleep_ms(60)
print(count)
"""
    assert once(tmp_path, program) == ["5"]


def test_periodic_timers_keep_their_rhythm(tmp_path):
    program = """
from machine import Timer
from time import sleep_ms, ticks_ms, ticks_diff
count = 0
def tick(timer):
    global count
    count += 1
start = ticks_ms()
Timer(2).init(freq=100, callback=tick)
while count < 50:
    sleep_ms(1)
print(490 <= ticks_diff(ticks_ms(), start) < 1500)
"""
    assert once(tmp_path, program) == ["True"]


def test_a_number_is_one_timer_and_init_replaces_what_was_set(tmp_path):
    program = """
from machine import Timer
from time import sleep_ms
seen = []
print(Timer(3) is Timer(3), Timer(0) is Timer(3), Timer() is Timer(-1))
Timer(3).init(mode=Timer.ONE_SHOT, period=20, callback=lambda t: seen.append("old"))
Timer(3).init(mode=Timer.ONE_SHOT, period=20, callback=lambda t: seen.append("new"))
Timer().init(mode=Timer.ONE_SHOT, period=10, callback=lambda t: seen.append("soft"))
while "new" not in seen:
    sleep_ms(1)
print(seen)
for number in (4, -2):
    try:
        Timer(number)
    except ValueError as error:
        print("ValueError")
"""
    assert once(tmp_path, program) == ["True False False", "['soft', 'new']", "ValueError", "ValueError"]


def test_several_timers_run_side_by_side_with_flash_in_use(tmp_path):
    program = """
from esp32 import NVS, Partition
from machine import Timer
counts = [0] * 4
values = NVS("t")
def tick(number):
    def callback(timer):
        counts[number] += 1
        values.set_i32("n%d" % number, counts[number])
    return callback
for number in range(4):
    Timer(number).init(period=2 + number, callback=tick(number))
target = Partition("ota_1")
block = bytearray(4096)
turns = 0
while min(counts) < 10:
    target.writeblocks(turns % 300, block)
    target.readblocks(turns % 300, block)
    assert block == bytes(4096)
    turns += 1
for number in range(4):
    Timer(number).deinit()
print([values.get_i32("n%d" % n) == counts[n] for n in range(4)])
"""
    assert once(tmp_path, program) == ["[True, True, True, True]"]


def test_an_exception_in_a_callback_is_printed_and_the_program_goes_on(tmp_path):
    program = """
from machine import Timer
from time import sleep_ms
seen = []
def bad(timer):
    seen.append(1)
    raise ValueError("in callback")
Timer(0).init(mode=Timer.ONE_SHOT, period=5, callback=bad)
while not seen:
    sleep_ms(1)
sleep_ms(1)
print("went on")
"""
    lines = once(tmp_path, program)
    assert "ValueError: in callback" in lines
    assert lines[-1] == "went on"


def test_a_watchdog_that_is_not_fed_resets_the_chip(tmp_path):
    program = """
import machine
print(machine.reset_cause() == machine.WDT_RESET)
machine.WDT(timeout=100)
while True:
    pass
"""
    assert run(make(tmp_path, program), resets=1) == ["False", "True"]


def test_feeding_keeps_the_watchdog_quiet_and_a_soft_reset_does_not_stop_it(tmp_path):
    program = """
import machine
from time import sleep_ms
if machine.reset_cause() == machine.PWRON_RESET:
    dog = machine.WDT(timeout=400)
    for _ in range(12):
        sleep_ms(50)
        dog.feed()
    print("fed")
    machine.soft_reset()
print("cause", machine.reset_cause())
"""
    lines = run(make(tmp_path, program), resets=None, until="cause 3")
    assert [line for line in lines if line.startswith(("fed", "cause"))] == ["fed", "cause 5", "cause 3"]
