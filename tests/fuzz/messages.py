"""Strategies for what anybody might send to a device, on each of its topics."""

import json
from typing import Any, NamedTuple

from hypothesis import strategies as st

from agent.protocol.limits import TOPIC_MAX

NEXT = 1234567
"""Stands for the next number of an offer until the message is sent."""


class Sent(NamedTuple):
    """One message; `topic` begins after "fleet/devices/<device>/" unless it begins with "/"."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


_TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "now", "ask", "a" * 300, "\0", "\ud7ff", "../..", "%s%d", "=" * 88, "e30.e30.e30"]),
)
_NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**32, 2**63, 2**64, 10**300, -(2**31), 5.0, 1e300, -0.0]),
)
JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)
_BYTES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"", b"{}", b"[]", b"null", b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}", b'{"n":NaN}', b'{"n":1e999}',
            b'"\\ud800"',
            b"[" * 4096, b'{"a":' * 800, b"[" * 30 + b"]" * 30, b'{"n":' + b"9" * 4000 + b"}", b'"' * 4096,
            b'{"' + b"a" * 4000 + b'":1}', b" " * 4096 + b"{}", b"\xc0\x80", b'{"n":1,"n":2}', bytes(4352),
        ]
    ),
)  # fmt: skip


@st.composite
def objects(draw: st.DrawFn, sound: dict[str, Any]) -> bytes:
    """A JSON object like `sound`, with some of its fields changed, gone or added, perhaps spoiled as text."""
    fields = dict(sound)
    for name in draw(st.lists(st.sampled_from([*sorted(sound), "withdraw", "reason", "x"]), max_size=3)):
        change = draw(st.sampled_from(["junk", "gone", "nested"]))
        if change == "gone":
            fields.pop(name, None)
        else:
            fields[name] = draw(JUNK) if change == "junk" else [fields.get(name)] * 3
    data = json.dumps(fields).encode()
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 4)) :]
    return data


def spoiled_jws(jws: str) -> st.SearchStrategy[str]:
    """What is left of a signed manifest when a character or a part is another."""
    header, payload, signature = jws.split(".")
    changed = st.tuples(st.integers(0, len(jws) - 1), st.sampled_from('Aa0_-.=+/ é"')).map(
        lambda change: jws[: change[0]] + change[1] + jws[change[0] + 1 :]
    )
    parts = st.lists(st.sampled_from([header, payload, signature, "", "e30"]), max_size=4).map(".".join)
    return changed | parts


_GOOD_ADDRESSES = st.sampled_from(["0", "4096", "8192", "20480", "index/0"])
_ODD_ADDRESSES = st.sampled_from(
    [
        "-4096", "4097", "1", "+0", " 0", "0x0", "1e3", "4_096", "\uff14\uff10", "9" * 200, "", "/", "index", "index/",
        "index/-1", "index/1", "index/8", "index/" + "9" * 100, "index/0/0", "index/index/0", "#", "0" * 100, "2097152",
    ]
) | st.text("0123456789-/index", max_size=12)  # fmt: skip
_GOOD_SIZES = st.sampled_from([bytes(4096), b"\xff" * 4096, bytes(48)])
_ODD_BLOCKS = st.binary(max_size=40) | st.sampled_from(
    [bytes(4095), bytes(4097), bytes(2000), b"\x03\0" * 20, b"\x4b"]
)


def sent(topics: st.SearchStrategy[str], payloads: st.SearchStrategy[bytes]) -> st.SearchStrategy[Sent]:
    """Messages on these topics."""
    return st.builds(Sent, topics, payloads, st.integers(0, 1), st.booleans())


def answers(content: str) -> st.SearchStrategy[Sent]:
    """Chunks and index pages that are not what they say."""
    contents = st.sampled_from([content, content, content, "0" * 16, ""])
    addresses = _GOOD_ADDRESSES | _ODD_ADDRESSES
    topics = st.builds(lambda name, address: f"chunk/{name}/{address}", contents, addresses)
    almost = st.builds(lambda address: f"chunk/{content}/{address}", _GOOD_ADDRESSES)
    return sent(almost, _GOOD_SIZES) | sent(topics, _GOOD_SIZES | _ODD_BLOCKS)


def on(topic: str, payloads: st.SearchStrategy[bytes]) -> st.SearchStrategy[Sent]:
    """Messages on one topic of the device."""
    return sent(st.just(topic), payloads | _BYTES)


OTHERS = sent(
    st.sampled_from(
        [
            "want", "ack", "online", "state", "chunk", "desired/x", "desire", "/fleet/devices/other/desired",
            "/fleet/keys/1", "/fleet/images/demo/0000000000000000/0", "/", "/x", "/" + "t" * 300, "/" + "t" * 4000,
            "/日本語", "/fleet/devices/+/desired",
        ]
    ),
    _BYTES | _ODD_BLOCKS,
).filter(lambda message: message.qos == 0 or len(message.topic) < TOPIC_MAX)  # fmt: skip
"""Messages that are none of the device's business, or its own.

With QoS 1 and a topic longer than any of ours, a large one may end the connection: streams.py says when.
"""
