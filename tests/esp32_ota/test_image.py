"""What image.py says of images, held against esptool."""

import json
import struct
from itertools import pairwise

import pytest

from agent.esp32_ota import image
from tests.esp32_ota.cases import answer, case, flip
from tests.support.images import LAYOUTS, descriptor, esptool_verdict, flipped, spoiled
from tests.support.micropython import micropython_output
from tests.support.paths import ROOT

NAMES = [*LAYOUTS, *(f"{chip}-nodigest" for chip in LAYOUTS), "genuine", "genuine-older"]
SECTOR = 4096
# A bit of each header field: offset in bits. The last is hash_appended.
HEADER_BITS = {
    "magic": 0,
    "segments 0x01": 8,
    "segments 0x80": 15,
    "mode": 16,
    "flash size": 31,
    "entry": 37,
    "wp pin": 64,
    "drive": 75,
    "chip id": 96,
    "min rev": 120,
    "max rev": 136,
    "reserved": 160,
    "hash appended": 184,
    "hash appended 0x02": 185,
}


def reader(data):
    return lambda offset, length: data[offset : offset + length]


def ours(data, limit=1_572_864, chip=None):
    try:
        return "ok", image.verify(reader(data), limit, chip)
    except image.ImageError as error:
        return error.code, str(error)


def segment_headers(data):
    """The offset of each segment's header."""
    offset = 24
    for _ in range(data[1]):
        yield offset
        offset += 8 + struct.unpack_from("<I", data, offset + 4)[0]


def checksum_offset(data):
    return len(data) - 33 if data[23] else len(data) - 1


@pytest.mark.parametrize("name", NAMES)
def test_sound_images_are_accepted_and_measured(images, name, tmp_path):
    data = images[name]
    assert esptool_verdict(data, tmp_path).sound
    assert ours(data, chip=name.split("-")[0] if name in LAYOUTS else None) == ("ok", len(data))
    assert image.length(reader(data)) == len(data)


@pytest.mark.parametrize("name", NAMES)
def test_header_and_descriptor_say_what_esptool_says(images, name, tmp_path):
    data = images[name]
    told = esptool_verdict(data, tmp_path)
    head = image.header(reader(data))
    secure, version, project, time, date, idf, elf = image.descriptor(reader(data))
    assert told.field("Entry point") == hex(head["entry"])
    assert told.field("Segments") == str(head["segments"])
    assert told.field("Chip ID").split()[0] == str(head["chip_id"])
    assert told.field("Chip ID").split("(")[1].lower().replace("-", "") == head["chip"] + ")"
    assert told.field("Minimal chip revision").startswith(f"v{head['min_chip_rev'] // 100}.")
    assert (told.field("Flash size"), head["flash_size"]) == ("4MB", 2)
    assert ("Validation hash" in told.text) == head["hash_appended"]
    assert told.field("Project name") == project
    assert told.field("App version") == version
    assert told.field("Compile time") == f"{date} {time}"
    assert told.field("ELF file SHA256") == elf.hex()
    assert told.field("ESP-IDF") == idf
    assert told.field("Secure version") == str(secure)


@pytest.mark.parametrize("name", ["esp32", "esp32c3-nodigest"])
@pytest.mark.parametrize("field", HEADER_BITS)
def test_a_flip_in_the_header_is_found_where_esptool_finds_it(images, name, field, tmp_path):
    data = flipped(images[name], HEADER_BITS[field])
    told = esptool_verdict(data, tmp_path)
    # A chip id makes a difference to esptool only where it reads another chip's fields by it.
    expected = ours(data, chip=name.split("-")[0])[0] == "ok"
    assert expected == (told.sound and field != "chip id"), told.text


@pytest.mark.parametrize("name", ["esp32", "esp32s3-nodigest"])
def test_a_flip_in_a_segment_header_the_checksum_or_the_digest_is_found_where_esptool_finds_it(
    images, name, tmp_path
):
    data = images[name]
    # Of each segment: a bit of the address (still in the same memory), then the lowest and a high one of the length.
    bits = [(at + byte) * 8 for at in segment_headers(data) for byte in (1, 4, 6)]
    bits += [checksum_offset(data) * 8 + 3, len(data) * 8 - 1]
    for bit in bits:
        spoilt = flipped(data, bit)
        told = esptool_verdict(spoilt, tmp_path)
        code, message = ours(spoilt)
        if told.sound:
            # ESP-IDF also asks for whole words, and for addresses that flash can be mapped to. esptool does not.
            assert code == "ok" or "mapped to" in message or "bytes long" in message, (bit, message)
        else:
            assert code != "ok", (bit, told.text)


@pytest.mark.parametrize("name", ["esp32", "esp32s3", "esp32c3"])
def test_every_single_flip_around_the_data_is_refused_but_one(images, name):
    data = bytearray(images[name])
    places = [*range(24), *(at + i for at in segment_headers(data) for i in range(8))]
    places += range(checksum_offset(data), len(data))
    accepted = [
        bit
        for place in places
        for bit in range(place * 8, place * 8 + 8)
        if answer(image, data, flip(data, name, bit, chip=name))[0] == "ok"
    ]
    # hash_appended 1 -> 0 switches the digest check off, for ESP-IDF too: the signed digest refuses that.
    assert accepted == [23 * 8]


@pytest.mark.parametrize("name", ["esp32", "esp32-nodigest", "esp32s3", "esp32c3"])
def test_every_truncation_at_a_sector_is_refused(images, name, tmp_path):
    data = images[name]
    for cut in range(0, len(data), SECTOR):
        assert ours(data[:cut])[0] == ("truncated" if cut else "not_an_image")
        # In a slot the rest reads as 0xFF.
        assert ours(data[:cut].ljust(len(data) + SECTOR, b"\xff"))[0] != "ok"
        if cut % (4 * SECTOR) == 0:
            assert not esptool_verdict(data[:cut], tmp_path).sound


def test_every_truncation_of_the_genuine_firmware_is_refused(images):
    data = bytearray(images["genuine"])
    for cut in range(SECTOR, len(data), SECTOR):
        assert answer(image, data, case("genuine", cut=cut))[0] == "truncated"


def test_a_cut_by_any_few_bytes_is_refused(images):
    data = images["esp32c3"]
    assert [ours(data[:-cut])[0] for cut in (1, 31, 32, 33, 47)] == ["truncated"] * 5


# name of the case: (what to change in the esp32 image, options of verify, code, words of the message)
CODES = {
    "text": (lambda _: b"# a README", {}, "not_an_image", "does not start with 0xE9"),
    "nothing": (lambda _: b"", {}, "not_an_image", "does not start with 0xE9"),
    "only a magic": (lambda _: b"\xe9", {}, "truncated", "ends at byte 1"),
    "no segments": (lambda d: spoiled(d, {1: b"\0"}, reseal=True), {}, "bad_segments", "claims 0 segments"),
    "17 segments": (lambda d: spoiled(d, {1: b"\x11"}, reseal=True), {}, "bad_segments", "claims 17 segments"),
    "odd segment": (lambda d: spoiled(d, {28: b"\x01"}, reseal=True), {}, "bad_segments", "segment 0 cannot be"),
    "16 MB segment": (lambda d: spoiled(d, {31: b"\x01"}, reseal=True), {}, "bad_segments", "segment 0 cannot be"),
    "unmappable segment": (
        lambda d: spoiled(d, {24: b"\x24"}, reseal=True), {}, "bad_segments", "mapped to 0x3f400024",
    ),
    "no descriptor": (lambda d: spoiled(d, {32: b"\0"}, reseal=True), {}, "no_descriptor", "no app descriptor"),
    "other chip": (lambda d: d, {"chip": "esp32c3"}, "wrong_chip", "made for esp32, not for esp32c3"),
    "other chip id": (lambda d: d, {"chip": 5}, "wrong_chip", "made for esp32, not for esp32c3"),
    "chip of tomorrow": (lambda d: spoiled(d, {12: b"\x63"}, reseal=True), {}, "wrong_chip", "chip id 99"),
    "checksum": (
        lambda d: spoiled(d, {len(d) - 33: b"\0"}, reseal=True), {}, "bad_checksum", "checksum does not match",
    ),
    "digest": (lambda d: spoiled(d, {len(d) - 1: bytes([d[-1] ^ 1])}), {}, "bad_digest", "SHA-256 does not"),
    "small slot": (lambda d: d, {"limit": 65536}, "too_large", "more than the 65536 bytes"),
    "slot without room for the digest": (
        lambda d: d, {"limit": 75_615}, "too_large", "75616 bytes do not fit a slot of 75615",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CODES)
def test_each_fault_has_its_code_and_a_line_that_says_why(images, name):
    change, options, code, words = CODES[name]
    found = ours(change(images["esp32"]), **options)
    assert found[0] == code
    assert words in found[1]
    assert "\n" not in found[1]


def test_a_slot_of_exactly_the_images_size_is_enough(images):
    data = images["esp32"]
    assert ours(data, limit=len(data)) == ("ok", len(data))


def test_nothing_beyond_the_slot_is_read(images):
    data = images["esp32-nodigest"]
    end = max(segment_headers(data))
    end += 8 + struct.unpack_from("<I", data, end + 4)[0]
    for limit in (*range(end - 40, len(data)), 300, 4096):

        def read(offset, length, limit=limit):
            assert offset + length <= limit
            return data[offset : offset + length]

        with pytest.raises(image.ImageError) as caught:
            image.verify(read, limit)
        assert caught.value.code == "too_large"


def test_what_follows_the_image_does_not_matter(images):
    data = images["esp32c3"]
    assert ours(data + b"\xff" * 5000) == ("ok", len(data))


def test_a_merged_download_is_told_from_a_broken_image(images):
    from tests.support.testdata import merged_firmware

    code, message = ours(merged_firmware().read_bytes())
    assert (code, "otafleet image extract" in message) == ("merged_image", True)
    # Files for chips whose bootloader lies at flash 0x0, and a copy of a whole flash that starts with 0xFF.
    table = b"\xaa\x50".ljust(32, b"\0")
    for front in (
        images["esp32"][:24].ljust(0x8000, b"\xff"),
        b"\xff" * 0x8000,
        b"\xe9".ljust(0x6000, b"\0"),
    ):
        assert ours(front + table)[0] == "merged_image"


def test_the_checksum_may_be_left_out_only_where_a_digest_covers_it(images):
    def run(data):
        return image.finish(image.verify_steps(reader(data), len(data), None, False))

    signed = images["esp32"]
    assert run(spoiled(signed, {checksum_offset(signed): b"\0"}, reseal=True)) == len(signed)
    plain = images["esp32-nodigest"]
    with pytest.raises(image.ImageError) as caught:
        run(spoiled(plain, {checksum_offset(plain): b"\0"}))
    assert caught.value.code == "bad_checksum"


def test_no_step_reads_more_than_asked_for(images):
    data = images["esp32"]
    sizes = []

    def read(offset, length):
        sizes.append(length)
        return data[offset : offset + length]

    progress = list(image.verify_steps(read, len(data), piece=512))
    assert max(sizes) == 512
    assert progress == sorted(progress)
    assert max(after - before for before, after in pairwise(progress)) <= 512 + 8


def test_descriptor_texts_without_a_closing_nul_or_in_no_encoding():
    full = descriptor(version="v" * 32, project="p" * 32, time="t" * 16, date="d" * 16, idf="i" * 32)
    assert image.parse_descriptor(full)[1:6] == ("v" * 32, "p" * 32, "t" * 16, "d" * 16, "i" * 32)
    assert image.parse_descriptor(descriptor(project="Küche"))[2] == "Küche"
    broken = spoiled(full, {16: b"a\xff\x80b\0"})
    assert image.parse_descriptor(broken)[1] == "a??b"
    assert image.parse_descriptor(spoiled(full, {0: b"\0"})) == ()


def test_micropython_answers_the_same(images, tmp_path):
    questions = [case(name) for name in NAMES]
    for name in ("esp32", "esp32c3-nodigest"):
        data = images[name]
        bits = [bit * 8 + bit % 8 for bit in range(24)]
        bits += [(at + i) * 8 + i for at in segment_headers(data) for i in range(8)]
        bits += [bit * 8 for bit in range(len(data) - 48, len(data))]
        questions += [flip(data, name, bit, chip=name.split("-")[0]) for bit in bits]
        questions += [case(name, cut=cut) for cut in range(0, len(data), SECTOR)]
        questions += [case(name, cut=cut, fill=True) for cut in (0, 4096, 65536)]
        questions += [case(name, limit=limit) for limit in (0, 1000, len(data) - 1, len(data))]
        questions += [case(name, chip=chip) for chip in (0, 5, 99, "esp32s3")]
    for name in {question["image"] for question in questions}:
        (tmp_path / name).write_bytes(images[name])
    (tmp_path / "cases.json").write_text(json.dumps(questions))
    script = ROOT / "tests" / "esp32_ota" / "on_device" / "verify_cases.py"
    told = [json.loads(line) for line in micropython_output(script, tmp_path, heap="8m").splitlines()]
    copies = {name: bytearray(data) for name, data in images.items()}
    assert told == [answer(image, copies[question["image"]], question) for question in questions]
