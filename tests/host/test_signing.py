"""Releases: what is signed, when a manifest is reused, and how order and floor are chosen."""

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from agent.protocol import manifest
from broker_tools import content, exits, keys
from broker_tools.errors import OtafleetError
from broker_tools.events import nobody
from broker_tools.image import parse
from broker_tools.release import Terms, make, open_release
from broker_tools.signing import SELF, Wish, sign
from broker_tools.store.database import open_engine
from firmware.twin.image import make_image

NOW = 1_800_000_000
TERMS = Terms(sequence=7, floor=3, issued=5)


def image(seed=0, size=20_000):
    return parse(make_image(None, "demo", "1.0", size=size, seed=seed), "test")


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return keys.create(tmp_path_factory.mktemp("keys"), "k")


@pytest.fixture
def store(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/store.db")
    yield engine
    engine.dispose()


@pytest.fixture
def signed(store, key):
    """Sign an image as version 1.0 of demo; returns (release, whether it is new)."""

    def sign_(of, now=NOW, signer=key, tell=nobody, **wishes):
        wish = Wish(**({"project": "demo", "version": "1.0"} | wishes))
        return sign(store, of, signer, wish, lambda: now, tell)

    return sign_


def test_a_manifest_says_what_the_image_is_and_its_signature_verifies(key):
    app = image(size=2_200_000)
    terms = Terms(sequence=7, floor=3, issued=5, confirm_s=60, hardware=("b",))
    release = make(app, content.encode(app.data, "raw"), key, "demo", "1.4.0", terms)
    kid, signed_bytes, signature, payload = manifest.split(release.manifest)
    assert kid == key.kid
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    key.private.public_key().verify(encode_dss_signature(r, s), signed_bytes, ec.ECDSA(hashes.SHA256()))
    said = manifest.decode(payload)
    assert said["component"] == {
        "kind": "app",
        "offset": 0,
        "size": len(app.data),
        "sha256": hashlib.sha256(app.data).hexdigest(),
        "app_elf_sha256": app.elf_sha256,
        "chip": "esp32",
    }
    numbers = {name: said[name] for name in ("sequence", "floor", "issued", "expires", "confirm_s", "chunk")}
    assert numbers == {"sequence": 7, "floor": 3, "issued": 5, "expires": 0, "confirm_s": 60, "chunk": 4096}
    assert (said["project"], said["version"], said["hardware"]) == ("demo", "1.4.0", ["b"])
    digest = hashlib.sha256(b"raw\n" + app.data).hexdigest()
    assert said["content"] == digest[:16]


@pytest.mark.parametrize("encoding", ["raw", "deflate"])
def test_a_manifest_names_its_encoding_its_content_and_its_index_pages(key, encoding):
    app = image(size=2_200_000)
    form = content.encode(app.data, encoding)
    release = make(app, form, key, "demo", "1", TERMS)
    assert (release.payload["encoding"], release.content) == (encoding, form.name)
    assert release.payload["index"] == [hashlib.sha256(page).hexdigest() for page in form.pages]


@pytest.mark.parametrize(
    ("project", "version", "terms", "field"),
    [
        ("a b", "1", {}, "project"),
        ("demo", "", {}, "version"),
        ("demo", "1 2", {}, "version"),
        ("demo", "1", {"floor": 8}, "floor"),
        ("demo", "1", {"confirm_s": 0}, "confirm_s"),
        ("demo", "1", {"hardware": ("rev b",)}, "hardware"),
        ("demo", "1", {"hardware": tuple(f"rev{n}" for n in range(17))}, "hardware"),
        ("demo", "1", {"expires": 5}, "expires"),
        ("demo", "1", {"sequence": 2**32}, "sequence"),
    ],
)
def test_what_a_device_would_refuse_is_not_signed(key, project, version, terms, field):
    given = Terms(**({"sequence": 7, "floor": 3, "issued": 5} | terms))
    form = content.encode(image().data, "raw")
    with pytest.raises(OtafleetError, match=f"cannot sign this: {field} is out of bounds") as caught:
        make(image(), form, key, project, version, given)
    assert caught.value.exit_code == exits.USAGE


def test_a_manifest_of_another_image_is_not_opened(key):
    release = make(image(), content.encode(image().data, "raw"), key, "demo", "1", TERMS)
    with pytest.raises(OtafleetError, match="signed for another image"):
        open_release(release.manifest, image(seed=1).data, None)
    with pytest.raises(OtafleetError, match="bad manifest: jws"):
        open_release("a.b", image().data, None)


def test_a_manifest_is_not_opened_over_other_payloads(key):
    form = content.encode(image().data, "deflate")
    kept = content.keep(form)
    release = make(image(), form, key, "demo", "1", TERMS)
    assert open_release(release.manifest, image().data, kept) == release
    for other in (None, b"", kept[:-1], kept + b"\0", kept[:5] + bytes([kept[5] ^ 1]) + kept[6:]):
        with pytest.raises(OtafleetError, match="use --sign-again"):
            open_release(release.manifest, image().data, other)


def test_the_same_bytes_on_the_same_terms_keep_their_manifest(signed):
    first, is_new = signed(image())
    assert is_new
    again, is_new = signed(image(), now=NOW + 100)
    assert not is_new
    assert again.manifest == first.manifest


def test_going_back_is_an_offer_of_the_older_manifest(signed):
    old, _ = signed(image(0))
    signed(image(1), now=NOW + 10)
    back, is_new = signed(image(0), now=NOW + 20)
    assert (back.manifest, is_new) == (old.manifest, False)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1.1"},
        {"confirm_s": 60},
        {"hardware": ("rev-b",)},
        {"floor": SELF},
        {"floor": 0},
        {"expires": NOW + 1000},
        {"again": True},
    ],
    ids=str,
)
def test_other_terms_are_signed_anew_and_later(signed, change):
    first, _ = signed(image())
    other, is_new = signed(image(), **change)
    assert is_new
    assert other.sequence == first.sequence + 1
    assert signed(image(), **(change | {"again": False})) == (other, False)


def test_another_key_signs_anew(signed, tmp_path):
    first, _ = signed(image())
    other, is_new = signed(image(), signer=keys.create(tmp_path, "other"))
    assert is_new
    assert manifest.split(other.manifest)[0] != manifest.split(first.manifest)[0]


def test_a_given_floor_is_reused_only_for_that_floor(signed):
    first, _ = signed(image(), floor=5)
    assert signed(image(), floor=5) == (first, False)
    assert signed(image(), floor=6)[1]


def test_the_sequence_is_the_time_of_signing_and_always_grows(signed):
    assert signed(image(0))[0].sequence == NOW
    assert signed(image(1))[0].sequence == NOW + 1
    assert signed(image(2), now=NOW - 5000)[0].sequence == NOW + 2
    assert signed(image(3), now=NOW + 5000)[0].sequence == NOW + 5000
    assert signed(image(4), project="other")[0].sequence == NOW


def test_the_floor_is_the_previous_release_so_that_one_step_back_works(signed):
    floors = [signed(image(seed), now=NOW + seed)[0].payload["floor"] for seed in range(4)]
    assert floors == [0, NOW, NOW + 1, NOW + 2]


def test_signing_the_same_image_anew_does_not_close_the_way_back(signed):
    signed(image(0))
    signed(image(1), now=NOW + 1)
    anew, _ = signed(image(1), now=NOW + 2, again=True)
    assert anew.payload["floor"] == NOW


def test_the_floor_can_be_its_own_sequence_or_any_number_up_to_it(signed):
    own, _ = signed(image(0), floor=SELF)
    assert own.payload["floor"] == own.sequence
    given, _ = signed(image(1), floor=17)
    assert given.payload["floor"] == 17
    with pytest.raises(OtafleetError, match="floor is out of bounds"):
        signed(image(2), floor=NOW + 5000)


def test_auto_keeps_the_encoding_that_was_signed(signed):
    raw, _ = signed(image(), encoding="raw")
    assert signed(image()) == (raw, False)
    deflated, is_new = signed(image(), encoding="deflate")
    assert (is_new, deflated.sequence, deflated.payload["encoding"]) == (True, NOW + 1, "deflate")
    assert signed(image()) == (deflated, False)
    assert signed(image(), encoding="raw") == (raw, False)


def test_another_encoding_than_the_signed_one_is_said(signed):
    said = []
    for encoding in ("raw", "raw", "deflate", "deflate", "auto"):
        signed(image(), encoding=encoding, tell=lambda event: said.append(event.text))
    assert said == ["signed earlier as raw; deflate takes a new signature"]
    signed(image(), version="1.1", encoding="raw", tell=lambda event: said.append(event.text))
    assert len(said) == 1


def test_the_payloads_that_were_signed_go_out_again_whatever_zlib_makes_today(signed, monkeypatch):
    first, _ = signed(image(), encoding="deflate")
    monkeypatch.setattr(content, "_LEVEL", 1)
    assert content.encode(image().data, "deflate").name != first.content
    assert signed(image(), encoding="deflate") == (first, False)
