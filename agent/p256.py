"""ECDSA signature check over P-256 with SHA-256 (ES256 of RFC 7518 section 3.4), in plain integers.

Only verification, only public values: nothing here needs constant time. The curve's constants are those of
SEC 2 section 2.4.2 (secp256r1), the check is that of FIPS 186-5 section 6.4.2. Points are Jacobian (x, y, z) and
stand for (x / z^2, y / z^3); z = 0 is the point at infinity. u1 * G + u2 * Q is summed in one pass over the
non-adjacent forms of u1 and u2 (Shamir's trick), which needs no table but G, Q, G + Q and G - Q.

Inverses are Fermat's: pow(a, -1, m) answers wrongly on MicroPython.
"""

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    1,
)
# Bits of the scalars that one step works on: some 55 multiplications modulo P.
STEP_BITS = 4


def _double(point):
    # dbl-2001-b of the Explicit-Formulas Database (a = -3). Right for infinity too: z stays 0.
    x, y, z = point
    delta = z * z % P
    gamma = y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x = (alpha * alpha - 8 * beta) % P
    return x, (alpha * (4 * beta - x) - 8 * gamma * gamma) % P, 2 * y * z % P


def _add(one, two):
    x1, y1, z1 = one
    x2, y2, z2 = two
    if z1 == 0:
        return two
    if z2 == 0:
        return one
    square = z1 * z1 % P
    x2 = x2 * square % P
    y2 = y2 * z1 * square % P
    if z2 != 1:
        square = z2 * z2 % P
        x1 = x1 * square % P
        y1 = y1 * z2 * square % P
    h = (x2 - x1) % P
    r = (y2 - y1) % P
    if h == 0:
        # The same x: the same point, which this formula cannot add, or its opposite.
        return _double(one) if r == 0 else (1, 1, 0)
    square = h * h % P
    cube = h * square % P
    x1 = x1 * square % P
    x = (r * r - cube - 2 * x1) % P
    return x, (r * (x1 - x) - y1 * cube) % P, z1 * z2 * h % P


def _negated(point):
    return point[0], P - point[1], point[2]


def verify_steps(public: bytes, digest: bytes, signature: bytes):
    """Whether `signature` (r || s, 64 bytes) over the SHA-256 `digest` (32 bytes) is by the key whose
    point is `public` (x || y, 64 bytes), in steps.

    A generator of about 75 steps, each a few milliseconds on an ESP32; its return value is the answer. Anything that
    is not a signature (a wrong length, r or s out of 1..n-1, a point off the curve) answers False.
    """
    if len(public) != 64 or len(digest) != 32 or len(signature) != 64:
        return False
    x = int.from_bytes(public[:32], "big")
    y = int.from_bytes(public[32:], "big")
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if not (0 < r < N and 0 < s < N and x < P and y < P) or (y * y - x * x * x + 3 * x - B) % P:
        return False
    yield
    # s ** (N - 2) in pieces of 32 bits: one pow() would take as long as six steps together.
    w = 1
    for shift in range(224, -1, -32):
        w = pow(w, 1 << 32, N) * pow(s, (N - 2 >> shift) & 0xFFFFFFFF, N) % N
        yield
    u1 = int.from_bytes(digest, "big") * w % N
    u2 = r * w % N
    q = (x, y, 1)
    both = _add(G, q)
    less = _add(G, _negated(q))
    total = (1, 1, 0)
    # Digit i of the non-adjacent form of u is bit i of 3u minus bit i of u, counted from bit 1.
    three1 = 3 * u1
    three2 = 3 * u2
    for i in range(257, 0, -1):
        total = _double(total)
        d1 = (three1 >> i & 1) - (u1 >> i & 1)
        d2 = (three2 >> i & 1) - (u2 >> i & 1)
        if d1 or d2:
            if d2 == 0:
                point = G
            elif d1 == 0:
                point = q
            else:
                point = both if d1 == d2 else less
            total = _add(total, point if (d1 or d2) > 0 else _negated(point))
        if i % STEP_BITS == 0:
            yield
    x, y, z = total
    if z == 0:
        return False
    # x / z^2 mod n must be r; x / z^2 is below p, so it is r or r + n. Compared without an inverse.
    square = z * z % P
    return (x - r * square) % P == 0 or (r + N < P and (x - (r + N) * square) % P == 0)


def verify(public: bytes, digest: bytes, signature: bytes) -> bool:
    """verify_steps() in one go."""
    steps = verify_steps(public, digest, signature)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value
