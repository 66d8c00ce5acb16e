"""One JSON object of bounded size: whatever comes, it is read or refused, and a small heap is enough for it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol import limits, message
from agent.protocol.errors import ProtocolError
from tests.support.micropython import micropython_output

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)


def parse(payload):
    return message.parse(payload, limits.DESIRED_MAX, "bad_offer")


def refusal(payload):
    with pytest.raises(ProtocolError) as caught:
        parse(payload)
    assert caught.value.reason == "bad_offer"
    return caught.value.detail


@given(st.dictionaries(TEXT, VALUES, max_size=6), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_reads_back_what_json_writes(fields, ascii_only, indent):
    payload = json.dumps(fields, ensure_ascii=ascii_only, indent=indent).encode()
    opened = payload.count(b"[") + payload.count(b"{")
    quotes = payload.count(b'"')
    if (
        len(payload) > limits.DESIRED_MAX
        or opened > limits.JSON_CONTAINERS_MAX
        or quotes > limits.JSON_QUOTES_MAX
    ):
        assert refusal(payload) == "too large"
    else:
        assert parse(payload) == fields


@pytest.mark.parametrize(
    ("most", "more"),
    [
        (b'{"a":' + b"[" * 31 + b"]" * 31 + b"}", b'{"a":' + b"[" * 32 + b"]" * 32 + b"}"),
        (b'{"a":"' + b"[" * 31 + b'"}', b'{"a":"' + b"{" * 32 + b'"}'),
        (b'{"a":[""' + b',""' * 126 + b"]}", b'{"a":[""' + b',""' * 127 + b"]}"),
    ],
)
def test_what_a_message_may_hold_is_counted_before_it_is_parsed(most, more):
    parse(most)
    assert refusal(more) == "too large"


def test_only_utf_8_is_read():
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig"):
        assert refusal('{"a": 1}'.encode(encoding)) == "no object"
    assert refusal('{"a": "é"}'.encode("latin-1")) == "no object"


@pytest.mark.parametrize("payload", [b"", b"7", b"null", b'"text"', b"[]", b'[{"n": 1}]'])
def test_anything_but_an_object_is_refused(payload):
    assert refusal(payload) == "no object"


HOSTILE = """
from agent.protocol import offer
from agent.protocol.errors import ProtocolError
for piece, times in (
    (b"[", 4096), (b'{"a":', 819), (b"[0,", 1365), (b"[[],", 1024), (b"[{},", 1024), (b'"', 4096), (b"0", 4096),
    (b"\\\\u0041", 682), (b'"a",', 1024), (b"-", 4096), (b"\\xff", 4096), (b" ", 4096), (b"1e", 2048),
    (b"1. ", 1365), (b"0 ", 2048), (b'"ab"', 128), (b"9", 4096),
):
    for start in (b"", b"[", b'["', b'{"a":[', b'{"a":"', b"[" * 32):
        for end in (b"", b"]", b'"]', b"]}", b'"}', b"]" * 32):
            payload = (start + piece * times)[:4096 - len(end)] + end
            try:
                offer.decode(payload)
                print("taken", start, piece)
            except ProtocolError as error:
                if error.reason != "bad_offer":
                    print(error.reason, start, piece)
payload = b'{"a":[' + b"1. " * 1360 + b"]}"  # as many objects as malformed JSON can make of 4 KB
spare = bytearray(4096)
filler = []
try:
    while True:
        filler = [filler, 0]
except MemoryError:
    spare = None
try:
    offer.decode(payload)
except ProtocolError as error:
    filler = None
    print(error.reason)
"""


def test_a_hostile_message_cannot_exhaust_a_small_heap():
    # The script and the protocol compile into some 40 KB here (64-bit); what is left is less than a device has.
    assert micropython_output(HOSTILE, heap="96k") == "bad_offer\n"
