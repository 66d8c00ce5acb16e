"""What CPython and MicroPython make of broken messages: a difference in a value is how a check gets bypassed."""

import json
import random

import pytest

from tests.protocol.vector_checks import DECODERS, payload_of, verdict
from tests.support.micropython import micropython_output
from tests.support.paths import ROOT

JUDGE = """
import json
import sys
from binascii import unhexlify
from tests.protocol.vector_checks import DECODERS, verdict
decode = DECODERS[sys.argv[1]]
with open(sys.argv[2]) as file:
    for line in file:
        reason, value = verdict(decode, unhexlify(line.strip()))
        print(reason, json.dumps(value))
"""
PIECES = [bytes([byte]) for byte in b'{}[]:,"\\ \n\x00\xff\xc30123456789.-+eE']
# Valid, overlong, surrogate; the same as escapes.
PIECES += [
    b"\xc3\xa9",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"\\u00e9",
    b"\\ud800",
    b"\\ud83d\\ude00",
] * 2
TOKENS = [b"{", b"}", b"[", b"]", b":", b",", b'"n":5', b'"v"', b'"', b"true", b"null", b"-1", b"2.5", b" "]
CASES = 2000


def mutations(payloads, chance):
    """Payloads with one to three small changes: a byte replaced, removed, doubled, or a piece of JSON put in."""
    for _ in range(CASES):
        data = bytearray(chance.choice(payloads))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data) + 1)
            length = chance.randint(0, 2)
            piece = b"".join(chance.choices(PIECES, k=chance.randint(0, 2)))
            data[at : at + length] = piece if chance.random() < 0.8 else data[at : at + length] * 2
        yield bytes(data)


def garbage(chance):
    """Tokens and bytes in no order at all, half of them within an object."""
    for _ in range(CASES):
        data = b"".join(chance.choices(TOKENS + PIECES, k=chance.randint(1, 40)))
        yield b"{" + data + b"}" if chance.random() < 0.5 else data


def is_json(payload):
    """Whether CPython's parser takes it. Its extras, NaN and Infinity, are not among the changes."""
    try:
        json.loads(str(payload, "utf-8"))
    except ValueError:
        return False
    return True


def well_formed(kind, value):
    """A message in strict JSON that says what a decoder returned."""
    fields = {"v": 1, **value}
    if kind == "manifest":
        fields["components"] = [fields.pop("component")]
    return json.dumps(fields).encode()


@pytest.mark.parametrize("kind", DECODERS)
def test_both_runtimes_judge_broken_messages_alike(kind, tmp_path):
    """JSON gets one verdict. What is none is refused here; a device may only take values out of it that pass here."""
    document = json.loads((ROOT / f"tests/vectors/{kind}s.json").read_text())
    payloads = [payload_of(row) for row in document["good"]]
    chance = random.Random(kind)
    cases = [*mutations(payloads, chance), *garbage(chance)]
    path = tmp_path / "cases"
    path.write_text("".join(case.hex() + "\n" for case in cases))
    here = [verdict(DECODERS[kind], case) for case in cases]
    lines = micropython_output(JUDGE, kind, path).splitlines()
    there = [(reason, json.loads(value)) for reason, value in (line.split(" ", 1) for line in lines)]
    for case, ours, device in zip(cases, here, there, strict=True):
        if is_json(case):
            assert ours == device, case
        else:
            assert ours[0] != "ok", case
            if device[0] == "ok":
                assert verdict(DECODERS[kind], well_formed(kind, device[1])) == device, case
    # The changes are small enough that some messages survive them, and that some malformed JSON gets through there.
    assert 10 < sum(reason == "ok" for reason, _ in here) < sum(reason == "ok" for reason, _ in there) < CASES
