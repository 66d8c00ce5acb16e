"""How a state is judged: the table of what ends an offer, and as what."""

import pytest

from agent.protocol.host.phases import ENDED, PHASES
from broker_tools import exits
from broker_tools.outcome import ENDS, explain, judge
from tests.host.device import slot

OURS = "a" * 64
OTHER = "b" * 64


def state(phase, n=5, reason="", running="ota_1", app_state="VALID", sha256=OURS):
    slots = [slot("ota_0", "VALID", OTHER), slot("ota_1", app_state, sha256)]
    return {"n": n, "phase": phase, "reason": reason, "running": running, "slots": slots}


def judged(found):
    outcome = judge(found, "kitchen", 5, OURS, "1.4.0")
    return None if outcome is None else (outcome.exit_code, outcome.result, outcome.reason)


def test_every_end_of_the_protocol_has_an_exit_code():
    assert set(ENDS) == set(ENDED)


@pytest.mark.parametrize("phase", [phase for phase in PHASES if phase not in ENDED])
def test_what_is_no_end_goes_on(phase):
    assert judged(state(phase)) is None


@pytest.mark.parametrize("phase", PHASES)
def test_a_state_about_an_earlier_offer_ends_nothing(phase):
    assert judged(state(phase, n=4)) is None


@pytest.mark.parametrize("phase", PHASES)
def test_a_state_about_a_later_offer_is_the_end_of_ours(phase):
    assert judged(state(phase, n=6)) == (exits.FAILED, "superseded", "superseded")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (state("confirmed"), (exits.OK, "confirmed", "")),
        (state("confirmed", reason="already_running"), (exits.OK, "confirmed", "already_running")),
        (state("confirmed", app_state="PENDING_VERIFY"), (exits.FAILED, "failed", "wrong_image")),
        (state("confirmed", sha256=OTHER), (exits.FAILED, "failed", "wrong_image")),
        (state("confirmed", sha256=""), (exits.FAILED, "failed", "wrong_image")),
        (state("confirmed", running="ota_0"), (exits.FAILED, "failed", "wrong_image")),
        (state("confirmed", running="factory"), (exits.FAILED, "failed", "wrong_image")),
        (state("rejected", reason="below_floor"), (exits.REJECTED, "rejected", "below_floor")),
        (state("rolled_back", reason="deadline"), (exits.ROLLED_BACK, "rolled_back", "deadline")),
        (state("failed", reason="flash_error"), (exits.FAILED, "failed", "flash_error")),
        (state("cancelled", reason="withdrawn"), (exits.FAILED, "cancelled", "withdrawn")),
    ],
)
def test_the_ends(found, expected):
    assert judged(found) == expected


def test_a_reason_is_explained_and_an_unknown_one_shown_as_it_is():
    assert explain("below_floor").startswith("below_floor: The image is older")
    assert explain("of_tomorrow") == "of_tomorrow"
    assert explain("") == "no reason given"
