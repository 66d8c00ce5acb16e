# What a programmer on the bench would do to a board, done on it by its own MicroPython: tests/esp32_ota/real_board.py
# calls these. The running slot is only ever read.
import binascii
import hashlib
import os

from esp32 import Partition

SECTOR = 4096
BLANK = b"\xff" * SECTOR
IDLE = ("otadata", "ota_0", "ota_1")


def running():
    return Partition(Partition.RUNNING)


def at(address, writing=False):
    # The partition that an address lies in, and where in it.
    for part in Partition.find(Partition.TYPE_APP) + Partition.find(Partition.TYPE_DATA):
        start, size, label = part.info()[2:5]
        if start <= address < start + size:
            if writing and (label not in IDLE or start == running().info()[2]):
                raise ValueError("not to be written: " + label)
            return part, address - start
    raise ValueError("in no partition: 0x%x" % address)


def load(address, path):
    part, offset = at(address, True)
    block = bytearray(SECTOR)
    with open(path, "rb") as file:
        while True:
            n, start = divmod(offset, SECTOR)
            part.readblocks(n, block)
            size = file.readinto(memoryview(block)[start:])
            if not size:
                return
            part.writeblocks(n, block)
            offset += size


def read(address, size):
    part, offset = at(address)
    data = bytearray(size)
    part.readblocks(0, data, offset)
    return binascii.hexlify(data).decode()


def digest(address, size):
    part, offset = at(address)
    sha = hashlib.sha256()
    while size:
        data = bytearray(min(size, SECTOR))
        part.readblocks(0, data, offset)
        sha.update(data)
        offset += len(data)
        size -= len(data)
    return binascii.hexlify(sha.digest()).decode()


def copy(source, target):
    # Only the sectors that differ; without a source, all that is not blank is erased.
    if target.info()[2] == running().info()[2]:
        raise ValueError("not to be written: the running slot")
    wanted = bytearray(BLANK)
    found = bytearray(SECTOR)
    for n in range(target.ioctl(4, 0)):
        target.readblocks(n, found)
        if source:
            source.readblocks(n, wanted)
        if found == wanted:
            continue
        if wanted == BLANK:
            target.ioctl(6, n)
        else:
            target.writeblocks(n, wanted)


def come_home():
    # Have ota_0 run the app that runs now, without records: the bootloader starts ota_0 then, and records it as VALID.
    # False: it will, after a reset.
    home = running().info()[4] == "ota_0"
    if not home:
        copy(running(), Partition("ota_0"))
    table = Partition.find(Partition.TYPE_DATA, 0)[0]
    for sector in (0, 1):
        table.ioctl(6, sector)
    return home


def prepare(twice):
    # As the tests expect a board: in ota_1 is the same app, or nothing. False: ask again after a reset.
    home = come_home()
    if home:
        copy(running() if twice else None, Partition("ota_1"))
    return home


def app_size():
    from esp32_ota import image

    def reader(offset, length):
        data = bytearray(length)
        running().readblocks(0, data, offset)
        return data

    return image.length(reader)


def clean(folder):
    os.chdir("/")
    remove(folder)


def remove(path):
    if os.stat(path)[0] & 0x4000:
        for name in os.listdir(path):
            remove(path + "/" + name)
        os.rmdir(path)
    else:
        os.remove(path)
