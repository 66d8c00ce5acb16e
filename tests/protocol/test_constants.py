"""Limits, reasons and phases: consistent with one another and with what they bound."""

import pytest

from agent.protocol import (
    index,
    limits,
    message,
    phases,
    reasons,
    want,
)
from agent.protocol.host import limits as host_limits
from agent.protocol.host import offers, reason_texts, reports, signing, topics, wants
from agent.protocol.host.phases import ENDED, PHASES
from tests.support.micropython import micropython_output
from tests.support.paths import ROOT

CODES = {value for name, value in vars(reasons).items() if name.isupper()}


def test_every_reason_has_one_sentence():
    assert set(reason_texts.REASONS) == CODES
    for text in reason_texts.REASONS.values():
        assert text[0].isupper()
        assert text.endswith(".")
        assert len(text.splitlines()) == 1


def test_reason_codes_are_their_names_and_fit_their_limit():
    for name, value in vars(reasons).items():
        if name.isupper():
            assert value == name.lower()
            assert len(value) <= host_limits.REASON_MAX


def test_phases_partition_an_update():
    assert set(ENDED) < set(PHASES)
    assert set(phases.COMMITTED) < set(PHASES)
    assert not set(ENDED) & set(phases.COMMITTED)
    assert len(set(PHASES)) == len(PHASES) == 14


def test_every_event_fits():
    assert max(map(len, PHASES)) + 1 + max(map(len, CODES)) <= host_limits.EVENT_MAX


def test_app_states_are_found_by_number():
    # esp_ota_img_states_t of ESP-IDF 5.5: NEW 0, PENDING_VERIFY 1, VALID 2, INVALID 3, ABORTED 4, UNDEFINED -1.
    found = [phases.APP_STATES[number] for number in (0, 1, 2, 3, 4, -1)]
    assert found == ["NEW", "PENDING_VERIFY", "VALID", "INVALID", "ABORTED", "UNDEFINED"]


def test_the_longest_topic_fits():
    name, prefix = "n" * limits.NAME_MAX, topics.check_prefix("a" * 62 + "/b")
    content = "0" * limits.CONTENT_LENGTH
    longest = max(
        topics.chunk(prefix, name, content, limits.IMAGE_MAX),
        topics.image_page(prefix, name, content, limits.PAGES_MAX),
        topics.image_chunk(prefix, name, content, limits.IMAGE_MAX),
        key=len,
    )
    assert len(longest) <= limits.TOPIC_MAX


def test_the_longest_want_ack_and_online_fit():
    singles = [[4095 - 2 * place, 1] for place in reversed(range(limits.WINDOW_MAX))]
    wants.decode(want.encode(limits.N_MAX, "0" * limits.CONTENT_LENGTH, host_limits.W_MAX, singles, []))
    reports.decode_ack(
        message.encode(
            {
                "v": limits.VERSION,
                "epoch": "0" * host_limits.EPOCH_LENGTH,
                "boot": limits.N_MAX,
                "k": limits.N_MAX,
                "n": limits.N_MAX,
                "rollout": "r" * limits.NAME_MAX,
                "attempt": limits.ATTEMPT_MAX,
                "phase": phases.ROLLED_BACK,
                "reason": "r" * host_limits.REASON_MAX,
                "slot": "s" * limits.NAME_MAX,
                "app_state": "PENDING_VERIFY",
                "sha256": "0" * 64,
                "saved": limits.IMAGE_MAX // limits.CHUNK,
            },
            limits.ACK_MAX,
        )
    )
    message.encode({"boot": limits.N_MAX, "conn": limits.N_MAX, "online": False}, limits.ONLINE_MAX)


def test_the_largest_state_without_events_fits():
    """A device that leaves out its oldest events can always report, whatever it is called."""
    slot = {"app_state": "PENDING_VERIFY", "sha256": "0" * 64, "size": limits.N_MAX, "version": '"' * 31}
    fields = {
        "v": limits.VERSION,
        "epoch": "0" * host_limits.EPOCH_LENGTH,
        "boot": limits.N_MAX,
        "k": limits.N_MAX,
        "protocol": [1],
        "can": ["direct", "raw", "ask"],
        "agent": "10.10.10",
        "chip": "esp32c61",
        "project": "p" * limits.NAME_MAX,
        "hardware": "h" * limits.NAME_MAX,
        "running": "ota_0",
        "slots": [{"slot": "ota_0", **slot}, {"slot": "ota_1", **slot}],
        "slot_size": limits.IMAGE_MAX,
        "floor": limits.TIME_MAX,
        "n": limits.N_MAX,
        "rollout": "r" * limits.NAME_MAX,
        "attempt": limits.ATTEMPT_MAX,
        "phase": "rolled_back",
        "reason": "unsupported_component",
        "progress": [4096, 4096],
        "events": [],
        "clock": limits.TIME_MAX,
    }
    reports.decode_state(message.encode(fields, limits.STATE_MAX))


@pytest.mark.parametrize(("signatures", "pages"), [(3, 1), (2, limits.PAGES_MAX)])
def test_an_offer_of_the_largest_manifest_fits(signatures, pages):
    size = pages * limits.INDEX_PAGE * limits.CHUNK
    assert index.pages(size) == pages
    component = {
        "kind": "app",
        "offset": 0,
        "size": size,
        "sha256": "0" * 64,
        "app_elf_sha256": "0" * 64,
        "chip": "esp32c61",
    }
    payload = signing.encode_payload(
        {
            "v": 1,
            "project": "p" * 32,
            "version": "v" * 32,
            "sequence": limits.TIME_MAX,
            "floor": limits.TIME_MAX,
            "issued": limits.TIME_MAX - 1,
            "expires": limits.TIME_MAX,
            "confirm_s": limits.CONFIRM_S_MAX,
            "chunk": limits.CHUNK,
            "content": "0" * 16,
            "encoding": "deflate",
            "index": ["0" * 64] * pages,
            "components": [component],
            "hardware": ["rev_a"],
        }
    )
    signed = signing.signing_input(signing.jws_header("0" * 16), payload)
    jws = signing.compact(signed, bytes(64))
    offers.encode_offer(limits.N_MAX, "r" * 32, 0, "now", [jws] * signatures, ["store", "direct"])


def test_a_message_of_ours_that_is_too_long_is_our_mistake():
    with pytest.raises(ValueError, match="over 128 bytes"):
        message.encode({"boot": "1" * 128}, limits.ONLINE_MAX)


def test_nothing_that_a_device_loads_loads_what_only_the_host_needs():
    modules = sorted(path.stem for path in (ROOT / "agent/protocol").glob("[a-z]*.py"))
    assert "manifest" in modules
    loaded = micropython_output(
        f"import sys\nfrom agent.protocol import {', '.join(modules)}\nprint(*sys.modules)"
    )
    assert "agent.protocol.manifest" in loaded.split()
    assert "agent.protocol.host" not in loaded.split()
    for path in (ROOT / "agent").rglob("*.py"):
        if path.parent != ROOT / "agent/protocol/host":
            assert "protocol.host" not in path.read_text(), path
