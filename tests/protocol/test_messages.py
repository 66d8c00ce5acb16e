"""Encoding and decoding: the way there and back, and nothing but ProtocolError for what is broken."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol import limits, manifest, message, offer, phases, reasons, want
from agent.protocol.errors import ProtocolError
from agent.protocol.host import offers, reports, signing, wants
from agent.protocol.host.limits import REASON_MAX, W_MAX
from agent.protocol.host.phases import PHASES
from tests.protocol.vector_checks import DECODERS, payload_of
from tests.support.paths import ROOT

LETTERS = "ABCabc019_-"
NAMES = st.text(LETTERS, min_size=1, max_size=limits.NAME_MAX)
OPTIONAL_NAMES = st.text(LETTERS, max_size=limits.NAME_MAX)
CODES = st.text("abz09_", min_size=1, max_size=REASON_MAX)
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40)
COUNTS = st.integers(0, limits.N_MAX)
TIMES = st.integers(1, limits.TIME_MAX)


def digits(length):
    return st.text("0123456789abcdef", min_size=length, max_size=length)


@given(
    st.integers(1, limits.N_MAX),
    OPTIONAL_NAMES,
    st.integers(0, limits.ATTEMPT_MAX),
    st.sampled_from([offer.NOW, offer.ASK]),
    st.lists(PRINTABLE, min_size=1, max_size=limits.SIGNATURES_MAX),
    st.lists(PRINTABLE, min_size=1, max_size=limits.SOURCES_MAX),
    COUNTS,
)
def test_offers_come_back(n, rollout, attempt, start, jws, source, keys):
    found = offer.decode(offers.encode_offer(n, rollout, attempt, start, jws, source, keys))
    assert found == {
        "n": n,
        "rollout": rollout,
        "attempt": attempt,
        "start": start,
        "manifest": jws,
        "source": source,
        "keys": keys,
    }


@given(st.integers(1, limits.N_MAX), CODES)
def test_withdrawals_come_back(n, reason):
    assert offer.decode(offers.encode_withdrawal(n, reason)) == {"n": n, "withdraw": True}


@given(st.data())
def test_manifests_come_back(data):
    size = data.draw(st.integers(1, limits.IMAGE_MAX))
    pages = -(-size // (limits.CHUNK * limits.INDEX_PAGE))
    sequence = data.draw(TIMES)
    issued = data.draw(st.integers(1, limits.TIME_MAX - 1))
    fields = {
        "v": 1,
        "project": data.draw(NAMES),
        "version": data.draw(st.text("aZ0._+-", min_size=1, max_size=limits.VERSION_MAX)),
        "sequence": sequence,
        "floor": data.draw(st.integers(0, sequence)),
        "issued": issued,
        "expires": data.draw(st.just(0) | st.integers(issued + 1, limits.TIME_MAX)),
        "confirm_s": data.draw(st.integers(limits.CONFIRM_S_MIN, limits.CONFIRM_S_MAX)),
        "chunk": limits.CHUNK,
        "content": data.draw(digits(16)),
        "encoding": data.draw(st.sampled_from([manifest.RAW, manifest.DEFLATE])),
        "index": data.draw(st.lists(digits(64), min_size=pages, max_size=pages)),
        "hardware": data.draw(st.lists(NAMES, max_size=4)),
        "critical": data.draw(st.lists(st.sampled_from(manifest.FIELDS), max_size=limits.CRITICAL_MAX)),
    }
    component = {
        "kind": manifest.APP,
        "offset": 0,
        "size": size,
        "sha256": data.draw(digits(64)),
        "app_elf_sha256": data.draw(digits(64)),
        "chip": data.draw(NAMES),
    }
    payload = signing.encode_payload({**fields, "components": [component]})
    assert payload == signing.encode_payload({"components": [component], **dict(reversed(fields.items()))})
    assert manifest.decode(payload) == {**fields, "component": component}


@given(digits(16), st.binary(max_size=300), st.binary(min_size=64, max_size=64))
def test_jws_come_apart_as_they_were_put_together(kid, payload, signature):
    signed = signing.signing_input(signing.jws_header(kid), payload)
    assert manifest.split(signing.compact(signed, signature)) == (kid, signed, signature, payload)


@given(st.binary(max_size=200))
def test_base64url_has_one_form_only(data):
    text = manifest.b64url_encode(data)
    assert manifest.b64url_decode(text) == data
    for other in (text + "=", text + "\n", " " + text, text + "+", text + "/"):
        with pytest.raises(ProtocolError, match="base64url"):
            manifest.b64url_decode(other)


def test_stray_bits_at_the_end_of_base64url_are_refused():
    assert manifest.b64url_decode("_w") == b"\xff"
    for last in "xyz0123456789":
        with pytest.raises(ProtocolError, match="base64url"):
            manifest.b64url_decode("_" + last)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_jws_of_one_offer_share_their_payload(payloads):
    jws = [f"h{number}.{payload.replace('.', '')}.s{number}" for number, payload in enumerate(payloads)]
    if len({one.split(".")[1] for one in jws}) == 1:
        manifest.same_payload(jws)
    else:
        with pytest.raises(ProtocolError, match="bad_manifest: payloads differ"):
            manifest.same_payload(jws)


@given(st.data())
def test_wants_come_back(data):
    left, low, chunks = data.draw(st.integers(1, limits.WINDOW_MAX)), 0, []
    index = list(range(data.draw(st.integers(0, min(left, limits.PAGES_MAX)))))
    left -= len(index)
    while left:
        first = low + data.draw(st.integers(0, 200))
        count = data.draw(st.integers(1, left))
        chunks.append([first, count])
        low, left = first + count, left - count
    n, w = data.draw(st.integers(1, limits.N_MAX)), data.draw(st.integers(0, W_MAX))
    content = data.draw(digits(16))
    assert wants.decode(want.encode(n, content, w, chunks, index)) == {
        "n": n,
        "content": content,
        "w": w,
        "chunks": chunks,
        "index": index,
    }


def common(data):
    return {
        "v": 1,
        "epoch": data.draw(digits(8)),
        "boot": data.draw(COUNTS),
        "k": data.draw(COUNTS),
        "n": data.draw(COUNTS),
        "rollout": data.draw(OPTIONAL_NAMES),
        "attempt": data.draw(st.integers(0, limits.ATTEMPT_MAX)),
        "phase": data.draw(st.sampled_from(PHASES)),
        "reason": data.draw(st.just("") | CODES),
    }


def running(data):
    return {
        "app_state": data.draw(st.sampled_from(phases.APP_STATES)),
        "sha256": data.draw(st.just("") | digits(64)),
    }


@given(st.data())
def test_states_come_back(data):
    total = data.draw(COUNTS)
    fields = {
        **common(data),
        "protocol": [1],
        "can": ["direct", "raw", "ask"],
        "agent": "0.1.0",
        "chip": "esp32c3",
        "project": "demo",
        "hardware": data.draw(st.sampled_from(["", "rev_b"])),
        "running": "ota_0",
        "slots": [
            {"slot": slot, **running(data), "size": data.draw(COUNTS), "version": data.draw(PRINTABLE)[:32]}
            for slot in ("ota_0", "ota_1")
        ],
        "slot_size": data.draw(COUNTS),
        "floor": data.draw(st.integers(0, limits.TIME_MAX)),
        "keys": data.draw(COUNTS),
        "progress": [data.draw(st.integers(0, total)), total],
        "events": data.draw(st.lists(st.sampled_from(["downloading", "failed:flash_error"]), max_size=8)),
        "clock": data.draw(st.integers(0, limits.TIME_MAX)),
    }
    payload = message.encode(fields, limits.DESIRED_MAX)
    if len(payload) <= limits.STATE_MAX:
        assert reports.decode_state(payload) == fields
    else:
        with pytest.raises(ProtocolError, match="too large"):
            reports.decode_state(payload)


@given(st.data())
def test_acks_come_back(data):
    fields = {**common(data), **running(data), "slot": data.draw(NAMES), "saved": data.draw(COUNTS)}
    assert reports.decode_ack(message.encode(fields, limits.ACK_MAX)) == fields


@given(COUNTS, COUNTS, st.booleans())
def test_onlines_come_back(boot, conn, online):
    fields = {"boot": boot, "conn": conn, "online": online}
    assert reports.decode_online(message.encode(fields, limits.ONLINE_MAX)) == fields


def refuses_cleanly(decode, argument):
    """Whether it was refused; any exception but ProtocolError, and any unknown reason, is a failure."""
    try:
        decode(argument)
    except ProtocolError as error:
        refusal = error
    else:
        return False
    assert refusal.reason in vars(reasons).values()
    assert str(refusal).startswith(refusal.reason)
    assert str(refusal).isascii()
    return True


@pytest.mark.parametrize("kind", DECODERS)
@given(data=st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(kind, data):
    assert refuses_cleanly(DECODERS[kind], data)


@given(
    st.text(max_size=100) | st.from_regex(r"\A[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{86}\Z")
)
def test_arbitrary_text_is_no_jws(text):
    assert refuses_cleanly(manifest.split, text)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("kind", DECODERS)
@given(data=st.data())
def test_any_value_in_any_field_is_taken_or_refused_cleanly(kind, data):
    fields = json.loads(payload_of(plain(kind)))
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(JUNK)
    refuses_cleanly(DECODERS[kind], json.dumps(fields).encode())


@pytest.mark.parametrize("kind", DECODERS)
def test_a_truncated_message_is_refused(kind):
    payload = payload_of(plain(kind))
    for length in range(len(payload)):
        assert refuses_cleanly(DECODERS[kind], payload[:length])


@pytest.mark.parametrize("kind", DECODERS)
def test_every_flipped_bit_is_taken_or_refused_cleanly(kind):
    payload = payload_of(plain(kind))
    for at in range(len(payload)):
        for bit in range(8):
            refuses_cleanly(
                DECODERS[kind], payload[:at] + bytes([payload[at] ^ 1 << bit]) + payload[at + 1 :]
            )


def test_a_flipped_bit_in_a_jws_never_goes_unnoticed():
    """What comes apart must come from other bytes under the signature, or carry another signature or key id."""
    jws = json.loads((ROOT / "tests/vectors/example.json").read_text())["jws"]
    parts = manifest.split(jws)
    chance = random.Random(1)
    for _ in range(2000):
        at = chance.randrange(len(jws))
        changed = jws[:at] + chr(ord(jws[at]) ^ 1 << chance.randrange(7)) + jws[at + 1 :]
        try:
            assert manifest.split(changed) != parts
        except ProtocolError as error:
            assert error.reason == reasons.BAD_MANIFEST  # noqa: PT017 - either outcome is right


def plain(kind):
    """The first good vector of a kind."""
    return json.loads((ROOT / f"tests/vectors/{kind}s.json").read_text())["good"][0]
