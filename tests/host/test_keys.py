"""`otafleet keys`: made once, private, never overwritten."""

import base64
import hashlib
import json
import stat

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from broker_tools import keys
from broker_tools.errors import OtafleetError


def test_a_new_key_is_private_and_its_public_form_is_what_a_device_needs(offline, home):
    made = json.loads(offline.ok("keys", "new", "release", "--json"))
    private, public = home / "keys" / "release.pem", home / "keys" / "release.pub.json"
    assert (made["private"], made["public"], made["name"]) == (str(private), str(public), "release")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    jwk = json.loads(public.read_text())
    assert made["jwk"] == jwk
    assert made["kid"] == jwk["kid"]
    assert set(jwk) == {"kty", "crv", "x", "y", "kid"}
    point = b"".join(base64.urlsafe_b64decode(jwk[axis] + "=") for axis in "xy")
    assert jwk["kid"] == hashlib.sha256(point).hexdigest()[:16]
    pem = serialization.load_pem_private_key(private.read_bytes(), password=None)
    uncompressed = pem.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    assert uncompressed == b"\x04" + point


def test_a_person_is_told_where_the_key_is_and_when_a_home_was_made(offline, home):
    result = offline.run("keys", "new", "release")
    assert result.returncode == 0
    assert result.stderr == f"made {home} for keys, store and ledger (OTAFLEET_HOME names another place)\n"
    assert str(home / "keys" / "release.pem") in result.stdout
    assert str(home / "keys" / "release.pub.json") in result.stdout


@pytest.mark.parametrize("left", ["release.pem", "release.pub.json"])
def test_nothing_that_exists_is_overwritten(offline, home, left):
    offline.ok("keys", "new", "release")
    for path in (home / "keys").iterdir():
        if path.name != left:
            path.unlink()
    before = (home / "keys" / left).read_bytes()
    result = offline.run("keys", "new", "release")
    assert result.returncode == 1
    assert result.stderr.endswith("exists; keys are never overwritten, choose another name\n")
    assert (home / "keys" / left).read_bytes() == before
    assert [path.name for path in (home / "keys").iterdir()] == [left]


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "x" * 65, "ä"])
def test_a_bad_name_is_wrong_use(offline, home, name):
    result = offline.run("keys", "new", name)
    assert result.returncode == 2
    assert not home.exists()


def test_keys_are_listed(offline, home):
    assert offline.ok("keys", "list") == ""
    assert not home.exists()
    kids = {name: json.loads(offline.ok("keys", "new", name, "--json"))["kid"] for name in ("b", "a")}
    (home / "keys" / "b.pem").unlink()
    assert offline.ok("keys", "list").splitlines() == [
        f"a  {kids['a']}  private and public",
        f"b  {kids['b']}  public only",
    ]
    lines = [json.loads(line) for line in offline.ok("keys", "list", "--json").splitlines()]
    assert [(line["name"], line["can_sign"]) for line in lines] == [("a", True), ("b", False)]


def test_a_signature_is_es256_over_the_data(tmp_path):
    key = keys.create(tmp_path, "k")
    for _ in range(20):
        signature = key.sign(b"what is signed")
        assert len(signature) == 64
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        public = key.private.public_key()
        public.verify(encode_dss_signature(r, s), b"what is signed", ec.ECDSA(hashes.SHA256()))


def test_a_loaded_key_is_the_key_that_was_made(tmp_path):
    made = keys.create(tmp_path, "k")
    loaded = keys.load_private(tmp_path, "k")
    assert (loaded.kid, loaded.jwk) == (made.kid, made.jwk)
    assert keys.public_keys(tmp_path) == [made.jwk]


def test_a_missing_key_says_how_to_make_it(tmp_path):
    with pytest.raises(OtafleetError, match="make one with: otafleet keys new release"):
        keys.load_private(tmp_path, "release")
    with pytest.raises(OtafleetError, match="no public key release"):
        keys.load_public(tmp_path, "release")


def pem(key):
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not an unencrypted private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not an unencrypted private key"),
        (pem(rsa.generate_private_key(65537, 2048)), "not a P-256 key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "not a P-256 key"),
        (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"x"),
            ),
            "not an unencrypted private key",
        ),
    ],
)
def test_what_is_no_p256_key_is_refused(tmp_path, data, said):
    keys.create(tmp_path, "k")
    keys.private_path(tmp_path, "k").write_bytes(data)
    with pytest.raises(OtafleetError, match=said):
        keys.load_private(tmp_path, "k")


@pytest.mark.parametrize(
    "change",
    [{"kid": "0" * 16}, {"x": "AAAA"}, {"crv": "P-384"}, {"y": None}, {"x": "!"}],
)
def test_a_damaged_public_key_is_refused(tmp_path, change):
    jwk = keys.create(tmp_path, "k").jwk
    path = keys.public_path(tmp_path, "k")
    path.write_text(json.dumps(jwk | change))
    with pytest.raises(OtafleetError, match="is not a public P-256 key"):
        keys.load_public(tmp_path, "k")
    path.write_text("[]")
    with pytest.raises(OtafleetError, match="is not a public P-256 key"):
        keys.load_public(tmp_path, "k")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(OtafleetError, match="is not a public P-256 key"):
        keys.load_public(tmp_path, "k")
