"""Which cuts a sweep makes, and what it takes for a device to be lost."""

from dataclasses import replace
from hashlib import sha256

import pytest

from broker_tools import exits, twins
from broker_tools.errors import OtafleetError
from broker_tools.outcome import Outcome
from broker_tools.powercut.cuts import Cut, again, parse, spread
from broker_tools.powercut.promises import LOST, NEW, OLD, Facts, boots_max, broken, ended, exceeded

OLD_IMAGE, NEW_IMAGE, OTHER = (
    twins.image(None, "lamp", version, size=9000) for version in ("1.0", "1.1", "9")
)
STALE = sha256(OTHER).hexdigest()


def slot(name, digest, app_state="VALID"):
    return {"slot": name, "app_state": app_state, "sha256": digest, "version": ""}


def state(running, *slots):
    return {"running": running, "slots": slots}


def end(result, reason, running, *slots):
    return Outcome(0, result, reason, "as it says", state(running, *slots))


HAS_OLD = slot("ota_0", sha256(OLD_IMAGE).hexdigest())
HAS_NEW = slot("ota_1", sha256(NEW_IMAGE).hexdigest())
GOOD = Facts(
    cuts=1,
    boots=3,
    failure="",
    silent="",
    outcome=end("confirmed", "", "ota_1", HAS_OLD, HAS_NEW),
    states=[state("ota_0", HAS_OLD, slot("ota_1", "")), state("ota_0", slot("ota_0", ""))],
    next_boot=("ota_1", "VALID"),
    slots={"ota_0": OLD_IMAGE + bytes(5000), "ota_1": NEW_IMAGE + b"\xff" * 5000},
    old=OLD_IMAGE,
    new=NEW_IMAGE,
    chunks=3,
    sent=19,
    erases={0: (1, 0), 1: (2, 1), 2: (1, 0)},
)
BACK = replace(
    GOOD,
    outcome=end("rolled_back", "reset_in_test", "ota_0", HAS_OLD, HAS_NEW),
    next_boot=("ota_0", "VALID"),
)
NO_RECORD = slot("ota_0", HAS_OLD["sha256"], "UNDEFINED")


def test_a_device_on_the_new_image_or_back_on_the_old_one_is_not_lost():
    assert (ended(GOOD), ended(BACK)) == (NEW, OLD)
    unrecorded = replace(
        BACK,
        outcome=end("failed", "flash_error", "ota_0", NO_RECORD, slot("ota_1", "")),
        next_boot=("ota_0", "UNDEFINED"),
    )
    assert ended(unrecorded) == OLD


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        pytest.param(replace(GOOD, failure="nothing boots: no slot"), "nothing boots: no slot", id="failure"),
        pytest.param(replace(GOOD, boots=boots_max(1) + 1), "boots again and again (5 times)", id="loop"),
        pytest.param(replace(GOOD, next_boot=None), "nothing boots at the next power-on", id="next boot"),
        pytest.param(replace(GOOD, outcome=None, silent="unknown device"), "unknown device", id="silent"),
        pytest.param(
            replace(GOOD, outcome=replace(GOOD.outcome, result="timed_out")),
            "ended as timed_out",
            id="timed out",
        ),
        pytest.param(replace(BACK, refused="quarantined"), "offered again: quarantined", id="stranded"),
        pytest.param(
            replace(BACK, outcome=replace(BACK.outcome, reason="")), "without a reason", id="no reason"
        ),
        pytest.param(
            replace(GOOD, slots={**GOOD.slots, "ota_1": OTHER}), "does not hold the image", id="wrong bytes"
        ),
        pytest.param(
            replace(BACK, outcome=end("failed", "no_answer", "ota_0", slot("ota_0", STALE))),
            "not the image that it must",
            id="wrong digest of the running slot",
        ),
        pytest.param(
            replace(BACK, outcome=end("failed", "no_answer", "ota_0", HAS_OLD, slot("ota_1", STALE))),
            f"says that ota_1 holds {STALE[:16]}",
            id="wrong digest of the other slot",
        ),
        pytest.param(
            replace(GOOD, states=[state("ota_0", slot("ota_0", STALE))]),
            "neither image",
            id="believed it once",
        ),
        pytest.param(
            replace(GOOD, next_boot=("ota_0", "VALID")),
            "next power-on starts ota_0 VALID",
            id="other slot next",
        ),
        pytest.param(replace(GOOD, next_boot=("ota_1", "NEW")), "starts ota_1 NEW", id="not kept"),
        pytest.param(
            replace(BACK, next_boot=("ota_0", "UNDEFINED")),
            "ota_0 is VALID, which is UNDEFINED",
            id="wrong state",
        ),
    ],
)
def test_a_broken_promise_is_a_lost_device(facts, why):
    assert ended(facts) == LOST
    assert why in "; ".join(broken(facts))


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (replace(GOOD, sent=20), "17 chunks were fetched again, more than 16"),
        (replace(GOOD, erases={7: (2, 0)}), "sector 7 of the slot was erased 2 times, torn 0 times"),
    ],
)
def test_what_costs_too_much_is_said_but_no_device_is_lost(facts, why):
    assert list(exceeded(GOOD)) == []
    assert (list(exceeded(facts)), ended(facts)) == ([why], NEW)


def test_without_a_sample_every_operation_is_cut():
    assert spread(3, 0, 7) == spread(3, 5, 7) == [Cut(1), Cut(2), Cut(3)]


def test_a_sample_is_spread_and_repeatable():
    cuts = [cut.operation for cut in spread(100, 10, 7)]
    assert [(number - 1) // 10 for number in cuts] == list(range(10))
    assert spread(100, 10, 7) == spread(100, 10, 7) != spread(100, 10, 8)


def test_a_second_cut_falls_into_the_recovery():
    found = {again(Cut(4), 3, seed)[0].second for seed in range(30)}
    assert found == {1, 2, 3}
    assert again(Cut(4), 0, 1) == ()


def test_the_first_damage_is_the_same_with_a_second_cut():
    assert Cut(4, 2).seeds(9)[0] == Cut(4).seeds(9)[0] != Cut(4).seeds(8)[0]
    assert len({seed for second in (1, 2) for seed in Cut(4, second).seeds(9)}) == 3


@pytest.mark.parametrize("cut", [Cut(37), Cut(37, 5)])
def test_a_cut_is_read_as_it_is_written(cut):
    assert parse(str(cut)) == cut


@pytest.mark.parametrize("text", ["", "0", "x", "-3", "4+", "4+0", "+4", "4+5+6", "4 5"])
def test_what_is_no_cut(text):
    with pytest.raises(OtafleetError, match="is no cut") as refused:
        parse(text)
    assert refused.value.exit_code == exits.USAGE
