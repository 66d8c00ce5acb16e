# Runs on a twin as its main.py: takes the recorded calls of /steps.jsonl up, compares every answer with the
# recorded one and prints what differs. A step that resets is done by the chip and judged after the boot.
import binascii
import hashlib
import json
import machine
from esp32 import Partition

otadata = Partition.find(Partition.TYPE_DATA, 0)[0]
handles = {}


def handle(name, block=4096):
    if (name, block) not in handles:
        if name == "RUNNING":
            handles[name, block] = Partition(Partition.RUNNING, block)
        else:
            handles[name, block] = Partition(name, block)
    return handles[name, block]


def label(partition):
    return partition.info()[4]


def seen(data):
    if len(data) > 64:
        return binascii.hexlify(hashlib.sha256(data).digest()).decode()[:16]
    return binascii.hexlify(data).decode()


def records():
    pair = []
    for i in (0, 1):
        record = bytearray(32)
        otadata.readblocks(i, record)
        pair.append(binascii.hexlify(record).decode())
    return " ".join(pair)


def install(slot, image):
    partition = handle(slot)
    block = bytearray(4096)
    with open("/images/%s.bin" % image, "rb") as file:
        n = 0
        while True:
            size = file.readinto(block)
            if not size:
                return
            for i in range(size, 4096):
                block[i] = 255
            partition.writeblocks(n, block)
            n += 1


def do(step):
    op = step["op"]
    if op == "find":
        return [
            list(p.info()) for p in Partition.find(step["type"], step.get("subtype", 255), step.get("label"))
        ]
    if op == "Partition":
        return list(Partition(step["id"]).info())
    if op == "BOOT":
        return label(Partition(Partition.BOOT))
    if op == "RUNNING":
        return label(Partition(Partition.RUNNING))
    if op == "get_next_update":
        return label(handle(step["slot"]).get_next_update())
    if op == "mark_app_valid_cancel_rollback":
        return Partition.mark_app_valid_cancel_rollback()
    if op == "install":
        return install(step["slot"], step["image"])
    if op == "set_boot":
        return handle(step["slot"]).set_boot()
    if op == "reset":
        return step["value"]  # where the bootloader went is the host's to judge
    partition = handle(step["slot"], step["bs"])
    if op == "ioctl":
        return partition.ioctl(step["cmd"], step["arg"])
    off = () if step["off"] is None else (step["off"],)
    if op == "readblocks":
        data = bytearray(step["len"])
        partition.readblocks(step["n"], data, *off)
        return seen(data)
    if op == "writeblocks":
        data = bytes([(step["fill"] + i) & 255 for i in range(step["len"])])
        return partition.writeblocks(step["n"], data, *off)
    raise ValueError(op)


def answer(step):
    got = {}
    try:
        got["value"] = do(step)
    except OSError as error:
        got["oserror"] = list(error.args)
    except ValueError:
        got["exception"] = "ValueError"
    if "otadata" in step:
        got["otadata"] = records()
    if "running" in step:
        got["running"] = label(Partition(Partition.RUNNING))
    return got


def run():
    try:
        with open("/at") as file:
            at = int(file.read())
    except OSError:
        at = 0
    steps = open("/steps.jsonl")
    steps.seek(at)
    first = True
    done = 0
    while True:
        begin = steps.tell()
        line = steps.readline()
        if not line:
            print("END", done)
            return
        step = json.loads(line)
        if step["op"] == "reset" and not first:
            with open("/at", "w") as file:
                file.write(str(begin))
            print("STEPS", done)
            machine.reset()
        got = answer(step)
        for key in ("value", "oserror", "exception", "otadata", "running"):
            if got.get(key) != step.get(key):
                print("DIFFERENT", step, got)
                break
        first = False
        done += 1


run()
