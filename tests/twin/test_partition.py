"""What esp32.Partition has besides the recorded calls: arguments, subclasses, its look."""

import pytest

from firmware.twin import make_image
from firmware.twin import partition_table as p
from tests.twin.bench import make, once, run


def test_arguments_by_place_and_by_name(tmp_path):
    program = """
from esp32 import Partition
print(Partition.BOOT, Partition.RUNNING, Partition.TYPE_APP, Partition.TYPE_DATA)
print([x.info()[4] for x in Partition.find()])
print([x.info()[4] for x in Partition.find(Partition.TYPE_DATA)])
print([x.info()[4] for x in Partition.find(1, 2, "nvs")], Partition.find(0, 17, "ota_0"))
print([x.ioctl(5, 0) for x in Partition.find(label="ota_1", block_size=512)])
print(Partition("ota_1", 65536 + 4096).ioctl(5, 0))
print(Partition("nvs"))
for bad in (lambda: Partition(), lambda: Partition(None), lambda: Partition("nvs").readblocks(0)):
    try:
        bad()
    except TypeError:
        print("TypeError")
"""
    assert once(tmp_path, program) == [
        "0 1 0 1",
        "['ota_0', 'ota_1']",
        "['nvs', 'otadata', 'phy_init', 'vfs']",
        "['nvs'] []",
        "[512]",
        "4096",
        "<Partition type=1, subtype=2, address=36864, size=16384, label=nvs, encrypted=0>",
        "TypeError",
        "TypeError",
        "TypeError",
    ]


def test_it_can_be_subclassed_and_finds_base_objects(tmp_path):
    program = """
import esp32
class Partition(esp32.Partition):
    def __init__(self, id, block_size=4096):
        super().__init__(id, block_size)
    def label(self):
        return self.info()[4]
mine = Partition(Partition.RUNNING)
print(mine.label(), isinstance(mine, esp32.Partition), mine.ioctl(4, 0))
found = Partition.find(0)[1]
print(type(found) is esp32.Partition, type(mine.get_next_update()) is esp32.Partition)
print(Partition.mark_app_valid_cancel_rollback())
"""
    assert once(tmp_path, program) == ["ota_0 True 384", "True True", "None"]


def test_any_buffer_can_be_written_and_read(tmp_path):
    program = """
from array import array
from esp32 import Partition
target = Partition("ota_1")
block = bytearray(4096)
target.writeblocks(0, b"\\x01" * 4096)
target.writeblocks(1, memoryview(bytes(8192))[:4096])
target.writeblocks(2, "x" * 4096)
target.ioctl(6, 3)
target.writeblocks(3, b"ab", 4094)
for n in range(4):
    view = memoryview(block)[4:4096]
    target.readblocks(n, view, 4)
    print(bytes(view[:2]), bytes(view[-2:]))
"""
    assert once(tmp_path, program) == [
        r"b'\x01\x01' b'\x01\x01'",
        r"b'\x00\x00' b'\x00\x00'",
        "b'xx' b'xx'",
        r"b'\xff\xff' b'ab'",
    ]


def test_the_table_may_be_another(tmp_path):
    rows = (
        *p.DEFAULT[:3],
        p.Partition(p.APP, p.FACTORY, 0x310000, 0x10000, "factory"),
        *(p.Partition(p.APP, p.OTA_0 + i, 0x10000 * (i + 1), 0x10000, f"app{i}") for i in range(3)),
    )
    program = """
from esp32 import Partition
print([x.info()[4] for x in Partition.find()])
print(Partition("app2").get_next_update().info()[4], Partition("nvs").get_next_update().info()[4])
with open("/image", "rb") as file:
    for label in ("factory", "app1"):
        file.seek(0)
        target = Partition(label)
        target.writeblocks(0, file.read() + b"\\xff" * 3000, 0)
Partition("app1").set_boot()
print(Partition(Partition.BOOT).info()[4])
Partition("factory").set_boot()
print(Partition(Partition.BOOT).info()[4])
import machine
machine.reset()
"""
    image = make_image(None, "p", "1")
    twin = make(tmp_path, program, image=image, files={"image": image}, table=rows)
    assert run(twin)[1:] == ["['factory', 'app0', 'app1', 'app2']", "app0 app0", "app1", "factory"]


@pytest.mark.parametrize("rollback", [True, False])
def test_the_bootloader_may_have_no_rollback(tmp_path, rollback):
    program = """
import machine
from esp32 import Partition
data = Partition.find(1, 0)[0]
record = bytearray(32)
data.readblocks(1, record)
print(Partition(1).info()[4], record[24])
if Partition(1).info()[4] == "ota_0" and record[24] == 255:
    with open("/image", "rb") as file:
        Partition("ota_1").writeblocks(0, file.read(), 0)
    Partition("ota_1").set_boot()
machine.reset()
"""
    image = make_image(None, "p", "1")
    twin = make(tmp_path, program, files={"image": image}, rollback=rollback)
    with_rollback = ["ota_0 255", "ota_1 1", "ota_0 4"]
    assert run(twin, resets=2) == (with_rollback if rollback else ["ota_0 255", "ota_1 0", "ota_1 0"])
