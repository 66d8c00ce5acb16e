"""Signing keys: ECDSA P-256 pairs in the home, one private PEM and one public JWK each."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from agent.protocol.errors import ProtocolError
from agent.protocol.manifest import b64url_decode, b64url_encode
from agent.protocol.topics import check_name
from broker_tools import exits
from broker_tools.errors import OtafleetError, os_reason

COORDINATE = 32
"""Bytes of one P-256 coordinate, and of r and of s (RFC 7518, section 3.4)."""
PUBLIC_MAX = 4096
"""Longest public key file that is read, in bytes."""

FIELDS = ("kty", "crv", "x", "y", "kid")
"""What a public key consists of, as a JWK."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair that can sign. `kid` is the first 16 hex digits of SHA-256 over the 64-byte public point."""

    name: str
    kid: str
    private: ec.EllipticCurvePrivateKey

    @property
    def jwk(self) -> dict[str, str]:
        """The public key as a device keeps it (RFC 7517)."""
        return _jwk(self.private.public_key())

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte ES256 signature r || s over `data` (RFC 7518, section 3.4)."""
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(COORDINATE, "big") + s.to_bytes(COORDINATE, "big")


def private_path(home: Path, name: str) -> Path:
    """Where the private key `name` is kept."""
    return home / "keys" / f"{name}.pem"


def public_path(home: Path, name: str) -> Path:
    """Where the public key `name` is kept, as a JWK."""
    return home / "keys" / f"{name}.pub.json"


def create(home: Path, name: str) -> Key:
    """Make a new key pair in `home` and return it. Nothing that exists is ever overwritten.

    Raises OtafleetError for a bad name, a name that is taken, and a disk that refuses.
    """
    _check(name)
    private, public = private_path(home, name), public_path(home, name)
    key = _key(name, ec.generate_private_key(ec.SECP256R1()))
    pem = key.private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        private.parent.mkdir(mode=0o700, exist_ok=True)
        # The public file goes first: what may be left by a crash in between is a public key without
        # a private one, which can never sign, and not a private key nobody has the other half of.
        _write_new(public, json.dumps(key.jwk, indent=2).encode() + b"\n", 0o644)
        try:
            _write_new(private, pem, 0o600)
        except OSError:
            public.unlink(missing_ok=True)
            raise
    except FileExistsError as error:
        message = f"{error.filename} exists; keys are never overwritten, choose another name"
        raise OtafleetError(message) from None
    except OSError as error:
        raise OtafleetError(f"cannot write the key to {private.parent}: {os_reason(error)}") from None
    return key


def load_private(home: Path, name: str) -> Key:
    """Return the key pair `name`. Raises OtafleetError when it is missing, unreadable or no P-256 key."""
    _check(name)
    path = private_path(home, name)
    try:
        loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise OtafleetError(
            f"no key {name} in {path.parent}; make one with: otafleet keys new {name}"
        ) from None
    except OSError as error:
        raise OtafleetError(f"cannot read the key {path}: {os_reason(error)}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise OtafleetError(f"{path} is not an unencrypted private key in PEM form") from None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or not isinstance(loaded.curve, ec.SECP256R1):
        raise OtafleetError(f"{path} is not a P-256 key; devices check ES256 signatures only")
    return _key(name, loaded)


def load_public(home: Path, name: str) -> dict[str, str]:
    """Return the public key `name` as a JWK. Raises OtafleetError when it is missing or damaged."""
    _check(name)
    path = public_path(home, name)
    try:
        with path.open("rb") as file:
            return _checked(json.loads(file.read(PUBLIC_MAX)))
    except FileNotFoundError:
        raise OtafleetError(f"no public key {name} in {path.parent}") from None
    except OSError as error:
        raise OtafleetError(f"cannot read the public key {path}: {os_reason(error)}") from None
    except (ValueError, KeyError, ProtocolError):
        raise OtafleetError(f"{path} is not a public P-256 key as otafleet writes it (a JWK)") from None


def names(home: Path) -> list[str]:
    """Names of all keys in `home`, sorted."""
    return sorted(path.name.removesuffix(".pub.json") for path in (home / "keys").glob("*.pub.json"))


def public_keys(home: Path) -> list[dict[str, str]]:
    """Return every public key in `home` as JWKs, in the order of their names."""
    return [load_public(home, name) for name in names(home)]


def _key(name: str, private: ec.EllipticCurvePrivateKey) -> Key:
    return Key(name, _jwk(private.public_key())["kid"], private)


def _jwk(public: ec.EllipticCurvePublicKey) -> dict[str, str]:
    numbers = public.public_numbers()
    x, y = numbers.x.to_bytes(COORDINATE, "big"), numbers.y.to_bytes(COORDINATE, "big")
    kid = hashlib.sha256(x + y).hexdigest()[:16]
    return {"kty": "EC", "crv": "P-256", "x": b64url_encode(x), "y": b64url_encode(y), "kid": kid}


def _checked(jwk: object) -> dict[str, str]:
    """Return the five fields of a public key; raise ValueError, KeyError or ProtocolError if it is none."""
    if not isinstance(jwk, dict) or not all(isinstance(jwk[field], str) for field in FIELDS):
        raise ValueError
    x, y = (int.from_bytes(b64url_decode(jwk[axis]), "big") for axis in ("x", "y"))
    # This raises ValueError when the point is not on the curve.
    found = _jwk(ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key())
    if any(jwk[field] != found[field] for field in FIELDS):
        raise ValueError
    return found


def _check(name: str) -> None:
    try:
        check_name(name)
    except ProtocolError:
        message = f"bad key name {name!r}: 1 to 64 letters, digits, _ and - are allowed"
        raise OtafleetError(message, exits.USAGE) from None


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not exist yet; leave none behind when the disk is full."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise
