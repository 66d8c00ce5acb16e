"""What is made of a device's reports: order, signs of life, the first end."""

import json

import pytest

from agent.protocol.errors import ProtocolError
from broker_tools import content, keys
from broker_tools.image import parse
from broker_tools.release import Terms, make
from broker_tools.tracking import Track
from firmware.twin.image import make_image
from tests.host.device import Device, slot


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    key = keys.create(tmp_path_factory.mktemp("home"), "k")
    image = parse(make_image(None, "demo", "1", size=40_000), "t")
    return make(image, content.encode(image.data, "raw"), key, "demo", "1", Terms(9, 0, 9))


@pytest.fixture
def told():
    return []


@pytest.fixture
def track(release, told):
    """A track of kitchen, idle, that has just been offered `release` as n 5."""
    found = Track("kitchen", lambda event: told.append(event.text))
    found.on_state(state(k=1), retained=True)
    found.follow(5, release)
    return found


IDLE = Device.FACTORY_STATE | {"boot": 1, "k": 0}


def state(**fields):
    return json.dumps(IDLE | fields).encode()


def ack(**fields):
    message = {"v": 1, "epoch": IDLE["epoch"], "boot": 1, "k": 9, "n": 5, "rollout": "", "attempt": 0}
    message |= {"phase": "verifying", "reason": "", "slot": "ota_0", "app_state": "VALID", "sha256": ""}
    return json.dumps(message | fields).encode()


def ours(release):
    return [slot("ota_0", "VALID", release.sha256)]


def test_before_an_offer_nothing_is_judged(release):
    track = Track("kitchen", print)
    track.on_state(state(n=5, phase="confirmed", slots=ours(release)), retained=True)
    assert (track.outcome, track.signs, track.reported) == (None, 0, 5)


def test_the_first_end_is_the_outcome(track, release):
    track.on_state(state(k=2, n=5, phase="confirmed", slots=ours(release)), retained=False)
    track.on_state(state(k=3, n=5, phase="cancelled", reason="withdrawn"), retained=False)
    assert track.outcome.exit_code == 0


def test_an_end_that_the_broker_had_kept_is_an_end(track, release):
    track.on_state(state(k=2, n=5, phase="confirmed", slots=ours(release)), retained=True)
    assert track.outcome.exit_code == 0


@pytest.mark.parametrize("older", [{"boot": 1, "k": 9}, {"boot": 2, "k": 3}])
def test_an_old_state_takes_nothing_back(track, older):
    track.on_state(state(boot=2, k=4, n=5, phase="testing"), retained=False)
    track.on_state(state(n=5, phase="rejected", **older), retained=True)
    assert track.outcome is None
    assert track.committed


def test_a_device_whose_storage_was_erased_starts_anew(track):
    track.on_state(state(boot=7, k=4, n=5, phase="downloading"), retained=False)
    assert track.erased == 0
    track.on_state(state(boot=1, k=0, n=0, epoch="0badcafe"), retained=False)
    assert track.erased == 1
    assert track.behind


def test_an_ack_is_shown_but_ends_nothing(track, told):
    track.on_ack(ack(phase="rolled_back", reason="deadline"))
    assert track.outcome is None
    assert told == [
        "kitchen: rolled back (deadline: The new image was not confirmed before its deadline.)",
    ]


def test_what_ack_and_state_both_say_is_shown_once(track, told):
    track.on_ack(ack(k=2))
    track.on_state(state(k=2, n=5, phase="verifying"), retained=False)
    track.on_ack(ack(k=2))
    assert told == ["kitchen: verifying"]


def test_an_ack_older_than_the_state_is_not_shown(track, told):
    track.on_state(state(k=8, n=5, phase="testing"), retained=False)
    track.on_ack(ack(k=7))
    assert told == ["kitchen: testing"]


@pytest.mark.parametrize(
    ("payload", "signs"),
    [
        (state(k=2, n=5, phase="downloading"), 1),
        (state(k=2, n=5, phase="stalled", reason="no_answer"), 1),
        (state(k=2, n=4, phase="downloading"), 0),
        (state(k=2), 0),
    ],
)
def test_signs_of_life_are_states_about_our_offer(track, payload, signs):
    track.on_state(payload, retained=False)
    assert track.signs == signs


def test_a_retained_state_is_no_sign_of_life(track):
    track.on_state(state(k=2, n=5, phase="downloading"), retained=True)
    assert track.signs == 0


def test_acks_about_our_offer_are_signs_of_life(track):
    track.on_ack(ack())
    track.on_ack(ack(k=10, n=4))
    assert track.signs == 1


@pytest.mark.parametrize("phase", ["stalled", "deferred"])
def test_waiting_is_a_sign_of_life_once_and_again_when_something_changed(track, phase):
    for clock in range(5):
        track.on_state(state(k=2, n=5, phase=phase, reason="no_answer", clock=clock), retained=False)
    assert track.signs == 1
    track.on_state(state(k=2, n=5, phase=phase, reason="no_answer", progress=[3, 10]), retained=False)
    assert track.signs == 2


def test_heartbeats_of_a_device_that_works_are_signs_of_life(track):
    for clock in range(5):
        track.on_state(state(k=2, n=5, phase="testing", clock=clock), retained=False)
    assert track.signs == 5


def test_progress_only_grows_and_never_beyond_the_image(track, told):
    for done in (1, 5, 3, 5, 10, 11):
        track.on_progress(done)
    assert told == ["1 of 10 chunks", "5 of 10 chunks", "10 of 10 chunks"]


def test_presence_is_told_when_it_changes_and_an_old_will_is_ignored(track, told):
    def presence(boot, conn, online):
        track.on_presence(json.dumps({"boot": boot, "conn": conn, "online": online}).encode())

    presence(2, 1, online=True)
    presence(2, 2, online=True)
    presence(2, 1, online=False)
    presence(2, 2, online=False)
    presence(2, 2, online=False)
    presence(3, 1, online=True)
    track.on_state(state(k=2, n=5, phase="rebooting"), retained=False)
    presence(3, 1, online=False)
    assert told == [
        "kitchen is offline; the offer waits for it on the broker",
        "kitchen is online again",
        "kitchen: rebooting",
        "kitchen is offline",
    ]


@pytest.mark.parametrize("take", ["on_ack", "on_presence"])
def test_garbage_is_refused_and_changes_nothing(track, take):
    before = track.state
    for payload in (b"", b"[]", b"{}", b"\xff", b"x" * 5000):
        with pytest.raises(ProtocolError):
            getattr(track, take)(payload)
        with pytest.raises(ProtocolError):
            track.on_state(payload, retained=False)
    assert track.state is before
    assert track.signs == 0


def test_what_was_in_the_slot_already_is_told(track, told):
    track.on_ack(ack(saved=7))
    assert told[-1] == "7 of 10 chunks were in the slot already"
