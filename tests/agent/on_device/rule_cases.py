"""agent/rules.py and agent/transitions.py: which image is taken, and which phase follows which."""

from agent import rules
from agent import transitions as on
from agent.protocol import phases, reasons
from agent.protocol.host.phases import ENDED, PHASES

DIGEST = "ab" * 32


class Config:
    hosts = ("example.org",)
    cafile = None


class Device:
    project = "thermostat"
    hardware = "rev-b"
    chip = "esp32"
    slot_size = 1_572_864
    floor = 100
    now = 1_000
    config = Config()
    record = None

    def quarantined(self, digest):
        return self.record


def refusal(device=None, component=None, attempt=0, source=("direct",), **manifest):
    fields = {
        "project": "thermostat",
        "hardware": ["rev-a", "rev-b"],
        "sequence": 100,
        "expires": 0,
        "encoding": "raw",
        "component": {"chip": "esp32", "size": 1_572_864, "sha256": DIGEST},
    }
    fields.update(manifest)
    fields["component"].update(component or {})
    return rules.refusal(fields, {"source": source, "attempt": attempt}, device or Device())


def test_rules_as_a_table():
    assert refusal() is None
    assert refusal(hardware=[]) is None
    assert refusal(expires=1_000) is None
    assert refusal(project="kettle") == reasons.WRONG_PROJECT
    assert refusal(hardware=["rev-a"]) == reasons.WRONG_HARDWARE
    assert refusal(component={"chip": "esp32c3"}) == reasons.WRONG_CHIP
    assert refusal(component={"size": 1_572_865}) == reasons.TOO_LARGE
    assert refusal(sequence=99) == reasons.BELOW_FLOOR
    assert refusal(expires=999) == reasons.EXPIRED
    assert refusal(encoding="deflate") is None
    assert refusal(encoding="lzma") == reasons.UNSUPPORTED_ENCODING
    assert refusal(source=["carrier_pigeon", "https://example.org/x"]) == reasons.UNSUPPORTED_SOURCE
    assert refusal(source=["store", "direct"]) is None
    assert refusal(source=["http://example.org/x"]) is None
    assert refusal(source=["http://example.com/x"]) == reasons.UNSUPPORTED_SOURCE


def test_quarantine_and_what_lifts_it():
    device = Device()
    for failed, attempt, reason in (
        ((100, 0, 0), 0, reasons.QUARANTINED),
        ((101, 0, 0), 0, reasons.QUARANTINED),
        ((99, 0, 0), 0, None),  # signed anew
        ((100, 0, 0), 1, None),
        ((100, 1, 0), 1, reasons.QUARANTINED),
        ((100, 2, 0), 3, None),
        ((100, 3, 0), 4, reasons.QUARANTINED),
        ((100, 0, 1), 0, None),
        ((100, 0, 2), 0, None),
        ((100, 0, 3), 0, reasons.QUARANTINED),
    ):
        device.record = failed
        assert refusal(device, attempt=attempt) == reason, (failed, attempt)


def test_every_phase_has_a_row_and_every_row_leads_to_a_phase():
    assert sorted(on.TRANSITIONS) == sorted(PHASES)
    for row in on.TRANSITIONS.values():
        for phase in row.values():
            assert phase in PHASES


def test_every_phase_can_be_reached_and_left():
    reached = {phases.IDLE}
    while True:
        more = reached | {phase for known in reached for phase in on.TRANSITIONS[known].values()}
        if more == reached:
            break
        reached = more
    assert reached == set(PHASES)
    for row in on.TRANSITIONS.values():
        assert row


def test_what_is_committed_can_be_neither_withdrawn_nor_superseded():
    for phase in phases.COMMITTED:
        assert on.WITHDRAW not in on.TRANSITIONS[phase] and on.OFFER not in on.TRANSITIONS[phase]


def test_an_end_is_left_by_an_offer_only():
    for phase in ENDED:
        assert set(on.TRANSITIONS[phase]) == {on.OFFER, on.WITHDRAW, on.REFUSE}


def test_an_illegal_transition_raises():
    try:
        on.after(phases.IDLE, on.PASS)
    except KeyError:
        return
    raise AssertionError("idle passed")
