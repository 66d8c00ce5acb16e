"""The worked example of docs/protocol.md, checked with the cryptography package instead of our own code."""

import hashlib
import json
from base64 import urlsafe_b64decode

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from tests.support.paths import ROOT

EXAMPLE = json.loads((ROOT / "tests/vectors/example.json").read_text())
IMAGE = bytes((7 * i + i // 256) % 256 for i in range(EXAMPLE["image"]["size"]))
CHUNKS = [IMAGE[at : at + 4096] for at in range(0, len(IMAGE), 4096)]


def unpadded(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_the_image_is_the_rules():
    assert EXAMPLE["image"]["rule"] == "byte i is (7 * i + i // 256) % 256"
    assert IMAGE[:16].hex() == EXAMPLE["image"]["first"]
    assert IMAGE[-16:].hex() == EXAMPLE["image"]["last"]
    assert hashlib.sha256(IMAGE).hexdigest() == EXAMPLE["image"]["sha256"]


def test_the_index_and_the_content_are_the_images():
    page = b"".join(hashlib.sha256(chunk).digest()[:8] for chunk in CHUNKS)
    assert page.hex() == EXAMPLE["page"]
    assert hashlib.sha256(b"raw\n" + IMAGE).hexdigest()[:16] == EXAMPLE["content"]
    payload = json.loads(EXAMPLE["payload"])
    assert payload["index"] == [hashlib.sha256(page).hexdigest()]
    assert payload["content"] == EXAMPLE["content"]
    assert payload["components"][0]["sha256"] == EXAMPLE["image"]["sha256"]
    assert json.dumps(payload, sort_keys=True, separators=(",", ":")) == EXAMPLE["payload"]


def test_the_signature_verifies():
    x, y = unpadded(EXAMPLE["key"]["x"]), unpadded(EXAMPLE["key"]["y"])
    assert hashlib.sha256(x + y).hexdigest()[:16] == EXAMPLE["key"]["kid"]
    key = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1()).public_key()
    signature = bytes.fromhex(EXAMPLE["signature"])
    der = utils.encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    header, payload, last = EXAMPLE["jws"].split(".")
    key.verify(der, f"{header}.{payload}".encode(), ec.ECDSA(SHA256()))
    assert unpadded(header).decode() == EXAMPLE["header"]
    assert unpadded(payload).decode() == EXAMPLE["payload"]
    assert unpadded(last) == signature


def test_the_device_asks_for_each_chunk_once_and_gets_it():
    asked, sent = [], []
    for step in EXAMPLE["steps"]:
        leaf = step["topic"].rpartition("/")[2]
        if leaf == "want":
            asked += [
                n for first, count in json.loads(step["text"])["chunks"] for n in range(first, first + count)
            ]
        elif "chunk" in step:
            assert leaf == str(4096 * step["chunk"])
            assert step["chunk"] in asked
            sent.append(step["chunk"])
    assert asked == sent == list(range(len(CHUNKS)))


def test_the_end_is_success():
    state = json.loads(EXAMPLE["steps"][-1]["text"])
    running = next(slot for slot in state["slots"] if slot["slot"] == state["running"])
    assert (state["phase"], running["app_state"]) == ("confirmed", "VALID")
    assert running["sha256"] == EXAMPLE["image"]["sha256"]
    assert state["floor"] == json.loads(EXAMPLE["payload"])["floor"]
