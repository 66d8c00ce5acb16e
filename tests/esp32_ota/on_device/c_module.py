# Stands for our C module on a twin, under the name _otafleet, so that tests see whether it is chosen and what it is
# asked for. It prints each call. It is not the C code: that has its own tests in tests/native.
from esp32 import Partition

ON_DEMAND = 1
positions = {}


def slot(address):
    for part in Partition.find(Partition.TYPE_APP) + Partition.find(Partition.TYPE_DATA):
        if part.info()[2] == address:
            return part
    return None


def say(*call):
    print(*call)


def begin(address, size=0):
    say("begin", hex(address), size)
    number = len(positions) + 1
    positions[number] = [slot(address), 0]
    return number


def resume(address):
    say("resume", hex(address))
    number = len(positions) + 1
    positions[number] = [slot(address), 0]
    return number


def erase(handle, offset, size):
    say("erase", handle, hex(offset), size)
    positions[handle][0].ioctl(6, offset // 4096)


def write(handle, data):
    say("write", handle, len(data))
    place = positions[handle]
    place[0].writeblocks(0, data, place[1])
    place[1] += len(data)


def write_with_offset(handle, data, offset):
    say("write_with_offset", handle, len(data), offset)


def end(handle):
    say("end", handle)


def abort(handle):
    say("abort", handle)


def app_state(address):
    say("app_state", hex(address))
    return 2


def app_description(address):
    say("app_description", hex(address))
    return (0, "in C", "", "", "", "", bytes(32))


def check_rollback_is_possible():
    say("check_rollback_is_possible")
    return True


def mark_app_invalid_rollback_and_reboot():
    say("mark_app_invalid_rollback_and_reboot")


def sha256(address, size):
    say("sha256", hex(address), size)
    return b"in C"


def p256_verify(public, digest, signature):
    say("p256_verify", len(public), len(digest), len(signature))
    return signature == b"good"
