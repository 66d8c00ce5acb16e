"""agent/p256.py against the cryptography package: keys and signatures of every awkward kind, on MicroPython too."""

import json
import random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from agent import p256
from tests.support.micropython import micropython_output

N = p256.N
P = p256.P
CURVE = ec.SECP256R1()
# r below this has a second x coordinate, r + N, which is still below P.
SECOND_X = P - N

SCRIPT = """
import json, sys
from binascii import unhexlify
from agent import p256
with open(sys.argv[1]) as file:
    for line in file:
        print(int(p256.verify(*[unhexlify(part) for part in json.loads(line)])))
"""


def big(*values):
    return b"".join(value.to_bytes(32, "big") for value in values)


def public_of(secret):
    numbers = ec.derive_private_key(secret, CURVE).public_key().public_numbers()
    return numbers.x, numbers.y


def sign(secret, digest, nonce):
    """r and s by the book (FIPS 186-5 section 6.4.1), for nonces that no library would take."""
    r = public_of(nonce)[0] % N
    return r, pow(nonce, -1, N) * (int.from_bytes(digest, "big") + r * secret) % N


def with_u1_and_u2(secret, u1, u2):
    """A digest and a signature that make the verifier compute u1 * G + u2 * Q; valid for the key `secret`."""
    r = public_of((u1 + u2 * secret) % N)[0] % N
    s = r * pow(u2, -1, N) % N
    return big(u1 * s % N), big(r, s)


def oracle(public, digest, signature):
    """What the cryptography package says."""
    if (len(public), len(digest), len(signature)) != (64, 32, 64):
        return False
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(public[:32], "big"), int.from_bytes(public[32:], "big"), CURVE
    )
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        numbers.public_key().verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except (InvalidSignature, ValueError):
        return False
    return True


def random_questions(count):
    """Half of them valid, the others with one bit changed somewhere in key, digest or signature."""
    noise = random.Random(1)
    for number in range(count):
        secret = noise.randrange(1, N)
        digest = noise.randbytes(32)
        question = [big(*public_of(secret)), digest, big(*sign(secret, digest, noise.randrange(1, N)))]
        if number % 2:
            part = noise.randrange(3)
            bit = noise.randrange(len(question[part]) * 8)
            value = bytearray(question[part])
            value[bit // 8] ^= 1 << bit % 8
            question[part] = bytes(value)
        yield question


def awkward_questions():
    """(name, question, answer): worked out by hand, held against the oracle too."""
    secret = 0xC0FFEE
    q = big(*public_of(secret))
    digest = bytes(range(32))
    r, s = sign(secret, digest, 12345)
    yield "valid", [q, digest, big(r, s)], True
    yield "the other s", [q, digest, big(r, N - s)], True
    yield "r and s swapped", [q, digest, big(s, r)], False
    for name, value in (
        ("0", 0),
        ("1", 1),
        ("n - 1", N - 1),
        ("n", N),
        ("n + 1", N + 1),
        ("2^256 - 1", 2**256 - 1),
    ):
        yield f"r = {name}", [q, digest, big(value, s)], False
        yield f"s = {name}", [q, digest, big(r, value)], False
        yield f"r = s = {name}", [q, digest, big(value, value)], False
    for name, value in (("0", 0), ("n", N), ("n + 5", N + 5), ("2^256 - 1", 2**256 - 1), ("1", 1)):
        yield f"digest = {name}", [q, big(value), big(*sign(secret, big(value), 77))], True
    for key in (1, 2, 3, N - 1, N - 2, N - 3, (N + 1) // 2, (N - 1) // 2):
        # Q is G, its opposite or a small multiple: the table and the sums hit equal and opposite points.
        for nonce in (1, 2, 3, N - 1):
            signature = big(*sign(key, digest, nonce))
            yield f"key {key:x} nonce {nonce:x}", [big(*public_of(key)), digest, signature], True
            yield (
                f"key {key:x} nonce {nonce:x} other digest",
                [big(*public_of(key)), bytes(32), signature],
                False,
            )
        for u1, u2 in (
            (0, 1),
            (1, 1),
            (2, 1),
            (1, 2),
            (1, N - 1),
            (N - 1, 1),
            (N - 2, 5),
            (2**255, 2**255 + 1),
        ):
            if (u1 + u2 * key) % N:
                yield (
                    f"key {key:x} u1 {u1:x} u2 {u2:x}",
                    [big(*public_of(key)), *with_u1_and_u2(key, u1, u2)],
                    True,
                )
    for key in (1, 2, secret):
        # u1 * G + u2 * Q is the point at infinity, whatever r is.
        for u2 in (1, 2, 0xDECAF):
            u1 = -u2 * key % N
            wanted_r = 5
            s = wanted_r * pow(u2, -1, N) % N
            yield (
                f"infinity for key {key:x} u2 {u2}",
                [big(*public_of(key)), big(u1 * s % N), big(wanted_r, s)],
                False,
            )


def y_of(x):
    """A y for this x, or None; every other x is on the curve."""
    square = (x**3 - 3 * x + p256.B) % P
    y = pow(square, (P + 1) // 4, P)
    return y if y * y % P == square else None


def plain(point):
    """x and y of a Jacobian point."""
    x, y, z = point
    inverse = pow(z, -1, P)
    return x * inverse**2 % P, y * inverse**3 % P


def question_for(key, r):
    """Digest and signature that make the verifier compute G + key and compare its x with r. Nobody knows the secret."""
    return [big(*key), big(r), big(r, r)]


def chosen_questions():
    """(name, question, answer) about points and keys chosen for their coordinates."""
    large = next(x for x in range(N + 1, P) if y_of(x))
    key = plain(p256._add((large, y_of(large), 1), p256._negated(p256.G)))
    yield "x = r + n", question_for(key, large - N), True
    yield "x = r, but r is beyond n", question_for(key, large), False
    small = next(x for x in range(1, P - N) if y_of(x))
    key = plain(p256._add((small, y_of(small), 1), p256._negated(p256.G)))
    yield "x = r", question_for(key, small), True
    yield "x = r + n - p", question_for(key, small + SECOND_X), False
    # The formulas for adding don't care whether a point is on the curve.
    x, y = public_of(7)
    for name, key in (("y + 1", (x, y + 1)), ("swapped", (y, x)), ("x = 0", (0, y))):
        r = plain(p256._add(p256.G, (*key, 1)))[0] % N
        yield f"key off the curve: {name}", question_for(key, r), False
    yield "key (0, 0)", question_for((0, 0), 5), False
    yield "key with x = p", question_for((P, 1), 5), False
    secret = 7
    digest = bytes(range(32))
    signature = big(*sign(secret, digest, 9))
    yield "the true key", [big(x, y), digest, signature], True
    yield "the opposite key", [big(x, P - y), digest, signature], False


LENGTHS = [(63, 32, 64), (65, 32, 64), (64, 31, 64), (64, 33, 64), (64, 32, 63), (64, 32, 65), (0, 0, 0)]


@pytest.mark.parametrize("question", list(random_questions(40)), ids=lambda _: "")
def test_random_signatures_are_judged_as_cryptography_judges_them(question):
    assert p256.verify(*question) == oracle(*question)


@pytest.mark.parametrize(("name", "question", "answer"), [*awkward_questions(), *chosen_questions()])
def test_awkward_signatures(name, question, answer):
    assert p256.verify(*question) is answer, name
    assert oracle(*question) is answer, name


def test_the_coordinates_of_a_key_have_to_be_below_p():
    # SEC 1 section 3.2.2.1. The cryptography package takes x + p for x, so it is no oracle here.
    x = next(x for x in range(1, 2**256 - P) if y_of(x))
    y = y_of(x)
    r = plain(p256._add(p256.G, (x, y, 1)))[0] % N
    assert p256.verify(*question_for((x, y), r)) is True
    assert p256.verify(*question_for((x + P, y), r)) is False


@pytest.mark.parametrize("lengths", LENGTHS)
def test_anything_of_another_length_is_no_signature(lengths):
    assert p256.verify(*map(bytes, lengths)) is False


def test_the_answer_comes_in_short_steps():
    key, digest, signature = next(random_questions(1))
    steps = p256.verify_steps(key, digest, signature)
    assert sum(1 for _ in steps) == 73
    # What can't be a signature costs no arithmetic.
    for r, s in ((0, 1), (N, 1), (N + 1, 1), (1, 0), (1, N), (1, N + 1)):
        assert list(p256.verify_steps(key, digest, big(r, s))) == []


def test_micropython_answers_the_same(tmp_path):
    questions = [
        *random_questions(400),
        *(question for _, question, _ in awkward_questions()),
        *(question for _, question, _ in chosen_questions()),
        *([bytes(length) for length in lengths] for lengths in LENGTHS),
    ]
    path = tmp_path / "questions"
    path.write_text("".join(json.dumps([part.hex() for part in question]) + "\n" for question in questions))
    told = micropython_output(SCRIPT, path).split()
    assert told == [str(int(oracle(*question))) for question in questions]
    assert len(told) > 500
    assert told.count("1") > 250
