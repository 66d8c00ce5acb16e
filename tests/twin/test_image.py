"""Images made for twins are genuine: esptool says so, and the check of ESP-IDF agrees with it."""

import hashlib
import re
import struct
import subprocess

import pytest

from firmware.twin import TwinError, code_of, make_image
from firmware.twin.chips import CHIPS
from firmware.twin.flash import SECTOR, Flash
from firmware.twin.partition_table import DEFAULT
from firmware.twin.verify import ImageInvalid, verify, xor
from tests.support.paths import program
from tests.twin.recorded import IMAGES

SLOT = next(row for row in DEFAULT if row.label == "ota_1")
CODE = b"print('this is the app')\n"


def esptool(path):
    done = subprocess.run(
        [program("esptool"), "image-info", str(path)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


@pytest.fixture
def slot(tmp_path):
    (tmp_path / "twin").mkdir()
    Flash.create(tmp_path / "twin")
    flash = Flash(tmp_path / "twin")

    def check(image, chip="esp32", before=b""):
        flash.load(SLOT.address, b"\xff" * (len(image) + SECTOR))
        flash.load(SLOT.address, before + image)
        return verify(flash, SLOT, CHIPS[chip])

    yield check
    flash.close()


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("size", [0, 100_000])
def test_esptool_and_esp_idf_accept_it(tmp_path, slot, chip, size):
    image = make_image(CODE, "kitchen", "1.2.3", chip, size=size)
    path = tmp_path / "app.bin"
    path.write_bytes(image)
    code, said = esptool(path)
    assert code == 0
    assert re.search(r"Checksum: 0x\w\w \(valid\)", said)
    assert re.search(r"Validation hash: \w{64} \(valid\)", said)
    assert f"Chip ID: {CHIPS[chip].id} " in said
    assert re.search(r"Project name: +kitchen\n", said)
    assert re.search(r"App version: +1.2.3\n", said)
    assert re.search(r"Segments: 2\n", said)
    assert re.search(r" DROM\n", said)
    assert re.search(r" IRAM\n", said)
    assert slot(image, chip) == len(image)


def test_it_carries_the_code_and_has_the_size_that_is_asked_for(slot):
    for size in (0, 1000, 4096, 4097, 65536, 200_000):
        image = make_image(CODE, "p", "1", size=size)
        assert code_of(image) == CODE
        assert len(image) == max(-(-size // 16) * 16, 400)
        assert slot(image) == len(image)


def test_code_of_any_length_comes_back(slot):
    for length in (0, 1, 2, 3, 4, 5, 4095, 70_000):
        code = bytes(i * 7 & 255 for i in range(length))
        image = make_image(code, "p", "1")
        assert code_of(image) == code
        assert code_of(image + b"\xff" * 5000) == code
        assert slot(image) == len(image)


def test_an_image_without_code_and_a_foreign_one_carry_none():
    assert code_of(make_image(None, "p", "1")) is None
    assert code_of(IMAGES["d100k"]) is None
    assert code_of(b"") is None
    image = bytearray(make_image(CODE, "p", "1"))
    image[image.index(CODE)] ^= 1
    assert code_of(bytes(image)) is None


def test_the_same_arguments_give_the_same_bytes_and_a_seed_other_noise():
    assert make_image(CODE, "p", "1", size=50_000) == make_image(CODE, "p", "1", size=50_000)
    one, two = (make_image(CODE, "p", "1", size=50_000, seed=seed) for seed in (1, 2))
    assert len(one) == len(two)
    assert sum(a == b for a, b in zip(one, two, strict=True)) < 3000
    descriptor = [image[0x20:0x120] for image in (one, two)]
    assert descriptor[0][144:176] != descriptor[1][144:176]


def test_names_that_a_descriptor_cannot_hold_and_chips_that_no_twin_is():
    make_image(None, "p" * 31, "1")
    with pytest.raises(ValueError, match="31 bytes"):
        make_image(None, "p" * 32, "1")
    with pytest.raises(ValueError, match="31 bytes"):
        make_image(None, "p", "ü" * 16)
    with pytest.raises(TwinError, match="choose one of esp32, esp32s3, esp32c3"):
        make_image(None, "p", "1", "esp8266")


@pytest.mark.parametrize("name", IMAGES)
def test_the_images_of_the_recording_are_accepted_on_their_chip(slot, name):
    assert slot(IMAGES[name], "esp32c3" if name.endswith("c3") else "esp32") == len(IMAGES[name])


def sealed(image):
    """The image with checksum and digest put right."""
    body = bytearray(image[:-32])
    offset, checksum = 24, 0xEF
    for _ in range(body[1]):
        length = struct.unpack_from("<I", body, offset + 4)[0]
        checksum ^= xor(bytes(body[offset + 8 : offset + 8 + length]))
        offset += 8 + length
    body[-1] = checksum
    return bytes(body) + hashlib.sha256(body).digest()


def changed(offset, data):
    image = make_image(CODE, "p", "1", size=2000)
    return image[:offset] + data + image[offset + len(data) :]


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (b"\xff" * 100, "first byte"),
        (changed(0, b"\xe8"), "first byte"),
        (changed(12, b"\x05"), "chip id 5"),
        (sealed(changed(15, struct.pack("<H", 302))), "chip revision 301"),
        (sealed(changed(17, struct.pack("<H", 300))), "chip revision 301"),
        (changed(1, b"\x11"), "17 segments"),
        (changed(1, b"\x03"), "segment"),
        (changed(24, struct.pack("<I", 0x3F400024)), "aligned"),
        (changed(28, struct.pack("<I", 0x7FF)), "has length 2047"),
        (changed(28, struct.pack("<I", 0x1000000)), "has length 16777216"),
        (changed(28, struct.pack("<I", 0x800000)), "past the end of the flash"),
        (changed(300, b"\0\0"), "checksum"),
        (changed(4, b"\x04"), "digest"),
        (changed(1984, b"\0"), "digest"),
    ],
)
def test_what_esp_idf_refuses(slot, image, why):
    with pytest.raises(ImageInvalid, match=re.escape(why)):
        slot(image)


def test_an_image_without_digest_is_held_to_its_checksum_alone(slot):
    image = make_image(CODE, "p", "1", size=2000)
    bare = image[:23] + b"\0" + image[24:-32]
    assert slot(bare) == len(bare)
    assert slot(bare[:4] + b"\x04" + bare[5:]) == len(bare)
    with pytest.raises(ImageInvalid, match="checksum"):
        slot(bare[:400] + bytes((bare[400] ^ 1,)) + bare[401:])


def test_an_image_that_just_fits_is_taken_and_a_longer_one_is_not(slot):
    assert slot(make_image(None, "p", "1", size=SLOT.size)) == SLOT.size
    with pytest.raises(ImageInvalid, match="larger than its partition"):
        slot(make_image(None, "p", "1", size=SLOT.size + 16))


def test_the_fast_xor_is_xor():
    for length in (0, 1, 2, 3, 5, 16, 1000, 4097):
        data = hashlib.shake_256(bytes((length & 255,))).digest(length)
        plain = 0
        for byte in data:
            plain ^= byte
        assert xor(data) == plain
