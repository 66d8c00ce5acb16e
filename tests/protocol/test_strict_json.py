"""The JSON reader: as strict as RFC 8259, as CPython's json where that is strict, and bounded in memory."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol import limits, strict_json
from tests.support.micropython import micropython_output

WHOLE = st.integers(-(10**limits.JSON_DIGITS_MAX) + 1, 10**limits.JSON_DIGITS_MAX - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LEAVES = st.none() | st.booleans() | WHOLE | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def depth(value):
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def reference(data):
    """CPython's json with its leniencies switched off; ValueError and RecursionError mean no."""

    def pairs(members):
        if len({name for name, _ in members}) != len(members):
            raise ValueError
        return dict(members)

    def no(_text):
        raise ValueError

    def whole(digits):
        if len(digits.lstrip("-")) > limits.JSON_DIGITS_MAX:
            raise ValueError
        return int(digits)

    value = json.loads(data.decode(), object_pairs_hook=pairs, parse_constant=no, parse_int=whole)
    json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate that came as an escape
    if depth(value) > limits.JSON_DEPTH_MAX:
        raise ValueError
    return value


@given(VALUES, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_reads_back_what_json_writes(value, ascii_only, indent):
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    if depth(value) > limits.JSON_DEPTH_MAX:
        with pytest.raises(ValueError, match="deep"):
            strict_json.read(data)
    else:
        assert strict_json.read(data) == value


def spliced(value, text, at):
    good = json.dumps(value)
    return (good[:at] + text + good[at + len(text) :]).encode()


JSON_LIKE = st.text(st.sampled_from('{}[]:,"\\/ \n\t0123456789.-+eEtruefalsn\u00e9uDd8'), max_size=24)


@given(
    JSON_LIKE.map(str.encode)
    | st.builds(spliced, VALUES, JSON_LIKE, st.integers(0, 200))
    | st.binary(max_size=24)
)
def test_agrees_with_a_strict_cpython_json(data):
    try:
        expected = reference(data)
    except (ValueError, RecursionError):
        with pytest.raises(ValueError):  # noqa: PT011 - any message will do
            strict_json.read(data)
    else:
        assert repr(strict_json.read(data)) == repr(expected)


def test_values_are_counted():
    most = limits.JSON_VALUES_MAX
    assert strict_json.read(b"[" + b",".join([b"0"] * (most - 1)) + b"]") == [0] * (most - 1)
    with pytest.raises(ValueError, match="too many"):
        strict_json.read(b"[" + b",".join([b"0"] * most) + b"]")


def test_depth_is_bounded():
    deep = limits.JSON_DEPTH_MAX
    strict_json.read(b"[" * deep + b"]" * deep)
    with pytest.raises(ValueError, match="deep"):
        strict_json.read(b"[" * (deep + 1) + b"]" * (deep + 1))


HOSTILE = """
from agent.protocol import offer
from agent.protocol.errors import ProtocolError
for piece, times in (
    (b"[", 4096), (b'{"a":', 819), (b"[0,", 1365), (b"[[],", 1024), (b"[{},", 1024), (b'"', 4096), (b"0", 4096),
    (b"\\\\u0041", 682), (b'"a",', 1024), (b"-", 4096), (b"\\xff", 4096), (b" ", 4096), (b"1e", 2048),
):
    for start in (b"", b"[", b'["', b'{"a":[', b'{"a":"'):
        try:
            offer.decode((start + piece * times)[:4096])
            print("taken", start, piece)
        except ProtocolError:
            pass
try:
    offer.decode(b"{" + b",".join([b'"%d":[]' % number for number in range(400)]) + b"}")
except ProtocolError as error:
    print(error.reason)
"""


def test_a_hostile_message_cannot_exhaust_a_small_heap():
    # The protocol compiles into some 40 KB here (64-bit); what is left is less than a device has.
    assert micropython_output(HOSTILE, heap="96k") == "bad_offer\n"
