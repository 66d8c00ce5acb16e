"""Giving up: silence, Ctrl-C, and what happens to the offer then."""

import json
import signal
import time

import pytest


def last_line(program):
    return program.lines.items[-1]


def repeat_until_withdrawn(device):
    """Report the same again and again, as heartbeats do, until the offer is withdrawn."""
    limit = time.monotonic() + 30
    while device.desired_count(withdraw=True) == 0:
        assert time.monotonic() < limit
        device.report(clock=device.state["clock"] + 1)


def test_a_silent_device_ends_with_5_and_the_offer_is_withdrawn(device, publish):
    program = publish("--timeout", "1")
    offer = device.take()
    withdrawal = device.desired(withdraw=True)
    assert (withdrawal["n"], withdrawal["reason"]) == (offer["n"], "withdrawn")
    device.report("cancelled", "withdrawn")
    assert program.wait() == 5
    assert last_line(program) == (
        "kitchen was silent for 1 s; the offer was withdrawn, and the device has let it go"
    )


def test_a_device_that_never_takes_the_offer_up_is_silent_whatever_else_it_says(device, publish):
    program = publish("--timeout", "2")
    device.desired(start="now")
    # A heartbeat about another offer is no sign of life; without that rule this would never end.
    repeat_until_withdrawn(device)
    assert program.wait() == 5
    assert "the device has not answered yet" in last_line(program)


@pytest.mark.parametrize("phase", ["stalled", "deferred"])
def test_a_device_that_only_repeats_that_it_waits_is_silent(device, publish, phase):
    program = publish("--timeout", "2", "--json")
    device.take()
    device.report(phase, "no_answer")
    repeat_until_withdrawn(device)
    device.report("cancelled", "withdrawn")
    assert program.wait() == 5
    end = json.loads(last_line(program))
    assert (end["result"], end["reason"]) == ("timed_out", "withdrawn")


def test_each_want_buys_time(device, publish):
    program = publish("--timeout", "1")
    offer = device.take()
    content = offer["payload"]["content"]
    for number in range(37):
        device.want(offer["n"], content, [[number, 1]])
        device.chunk(content, number)
        device.mark()
    device.run_new(offer)
    assert program.wait() == 0


def test_ctrl_c_withdraws_the_offer_and_says_so(device, publish):
    program = publish()
    offer = device.take()
    program.expect("downloading")
    program.interrupt()
    assert device.desired(withdraw=True)["n"] == offer["n"]
    device.report("cancelled", "withdrawn")
    assert program.wait() == 1
    assert last_line(program) == "interrupted; the offer was withdrawn, and the device has let it go"


def test_ctrl_c_twice_does_not_wait_for_the_device(device, publish):
    program = publish()
    device.take()
    program.expect("downloading")
    program.interrupt()
    device.desired(withdraw=True)
    program.interrupt()
    assert program.wait(4) == 1


def test_sigterm_withdraws_too(device, publish):
    program = publish()
    device.take()
    program.expect("downloading")
    program.terminate()
    device.desired(withdraw=True)
    device.report("cancelled", "withdrawn")
    assert program.wait() == 1


@pytest.mark.parametrize("phase", ["activating", "rebooting", "testing"])
def test_past_set_boot_ctrl_c_leaves_the_offer(device, publish, watch, phase):
    program = publish()
    device.take()
    device.report(phase)
    program.expect(f"kitchen: {phase}")
    program.interrupt()
    assert program.wait() == 1
    assert last_line(program) == "interrupted; kitchen already starts the new image, so the offer stands"
    kept = watch("fleet/devices/kitchen/desired").expect("fleet/devices/kitchen/desired")
    assert "withdraw" not in kept.json


def test_a_withdrawal_that_comes_too_late_says_so(device, publish):
    program = publish()
    device.take()
    program.expect("downloading")
    program.interrupt()
    device.desired(withdraw=True)
    device.report("activating")
    assert program.wait() == 1
    assert (
        last_line(program)
        == "interrupted; the withdrawal came too late, kitchen already starts the new image"
    )


def test_an_update_that_ends_while_it_is_withdrawn_is_reported_as_it_ended(device, publish):
    program = publish()
    offer = device.take()
    program.expect("downloading")
    program.interrupt()
    device.desired(withdraw=True)
    device.run_new(offer)
    device.report("cancelled", "withdrawn")
    assert program.wait() == 0


def test_ctrl_c_does_not_withdraw_somebody_elses_newer_offer(device, publish):
    first = publish()
    device.take()
    first.expect("downloading")
    first.process.send_signal(signal.SIGSTOP)
    second = publish()
    newer = device.desired(n=2)
    first.process.send_signal(signal.SIGINT)
    first.process.send_signal(signal.SIGCONT)
    assert first.wait() == 1
    assert last_line(first) == "interrupted; a later offer has already replaced this one"
    device.run_new(device.take(n=2))
    assert second.wait() == 0
    assert newer["n"] == 2
