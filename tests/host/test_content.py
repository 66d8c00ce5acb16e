"""Contents: how an image is cut, deflated, named and kept."""

import hashlib
import zlib

import pytest

from broker_tools import content
from broker_tools.content import deflate, encode, inflate, keep, restore
from firmware.twin.image import make_image
from tests.support.micropython import micropython_output
from tests.support.testdata import genuine_firmware

NOISE = make_image(None, "demo", "1", size=2_200_000)
TEXT = b"".join(b"line %d of a program\n" % n for n in range(1000))

_INFLATE = """
import deflate, sys
with open(sys.argv[1], "rb") as file:
    sys.stdout.write(deflate.DeflateIO(file, deflate.RAW, 12).read())
"""


def test_chunks_and_pages_are_the_image_and_its_index():
    form = encode(NOISE, "raw")
    assert b"".join(form.payloads) == NOISE
    assert {len(chunk) for chunk in form.payloads[:-1]} == {4096}
    entries = b"".join(form.pages)
    assert entries == b"".join(hashlib.sha256(chunk).digest()[:8] for chunk in form.payloads)
    assert [len(page) for page in form.pages] == [4096, len(entries) - 4096]
    assert form.size == len(NOISE)


def test_the_name_is_taken_from_the_encoding_and_the_payloads():
    for encoding in ("raw", "deflate"):
        form = encode(TEXT, encoding)
        digest = hashlib.sha256(encoding.encode() + b"\n" + b"".join(form.payloads)).hexdigest()
        assert (form.encoding, form.name) == (encoding, digest[:16])


def test_a_window_of_4096_bytes_inflates_a_deflated_chunk():
    form = encode(TEXT, "deflate")
    chunks = content.cut(TEXT)
    assert all(len(payload) < len(chunk) for payload, chunk in zip(form.payloads, chunks, strict=True))
    assert [zlib.decompress(payload, -12) for payload in form.payloads] == list(chunks)
    assert form.pages == encode(TEXT, "raw").pages


def test_a_real_micropython_inflates_what_zlib_made(tmp_path):
    payload = deflate(TEXT[:4096])
    (tmp_path / "payload").write_bytes(payload)
    assert micropython_output(_INFLATE, tmp_path / "payload") == TEXT[:4096].decode()


def test_a_chunk_that_does_not_get_shorter_goes_as_it_is():
    chunk = NOISE[8192:12288]
    assert deflate(chunk) == chunk
    assert deflate(b"") == b""
    assert deflate(b"ab") == b"ab"
    mixed = chunk + bytes(4096) + b"tail"
    assert [len(payload) < 4096 for payload in encode(mixed, "deflate").payloads] == [False, True, True]


def test_auto_deflates_from_a_tenth_on():
    noise = NOISE[4096 : 4096 * 101]

    def form(zeros):
        return encode(noise[4096 * zeros :] + bytes(4096 * zeros), "auto")

    assert form(10).encoding == "raw"  # ten chunks shrink, though not to nothing
    assert form(11).encoding == "deflate"
    assert encode(b"x", "auto").encoding == "raw"


def test_auto_deflates_genuine_firmware():
    data = genuine_firmware().read_bytes()
    form = encode(data, "auto")
    assert form.encoding == "deflate"
    assert 0.65 < form.size / len(data) < 0.72


@pytest.mark.parametrize("encoding", ["raw", "deflate"])
@pytest.mark.parametrize("data", [TEXT, NOISE, b"x"], ids=["text", "noise", "byte"])
def test_what_is_kept_makes_the_same_content_again(data, encoding):
    form = encode(data, encoding)
    kept = keep(form)
    assert (kept is None) == (encoding == "raw")
    assert restore(data, kept) == form


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x07",
        deflate(TEXT[:4096])[:-1],
        deflate(TEXT[:4096]) + b"x",
        zlib.compress(b"x", wbits=-12)[:1],
    ],
    ids=["nothing", "reserved block type", "cut", "more after it", "one byte"],
)
def test_what_is_no_deflate_of_a_chunk_inflates_to_nothing(payload):
    assert inflate(payload) is None


def test_a_deflate_of_more_than_a_chunk_inflates_to_nothing():
    deflater = zlib.compressobj(9, zlib.DEFLATED, -12)
    assert inflate(deflater.compress(bytes(4097)) + deflater.flush()) is None
    deflater = zlib.compressobj(9, zlib.DEFLATED, -12)
    assert inflate(deflater.compress(bytes(4096)) + deflater.flush()) == bytes(4096)
