# ruff: noqa: RUF005
# Runs on a device after each reset: makes the calls of steps.jsonl one after another and prints each answer as a line
# of JSON behind "ANSWER". A call that resets the chip is answered after the boot. The place is kept in the file "at".
import binascii
import gc
import json
import time

import machine
from esp32_ota import Partition

otadata = Partition.find(Partition.TYPE_DATA, 0)
handles = {}


def partition(step):
    return Partition(step.get("slot", Partition.RUNNING), step.get("block_size", 4096))


def data(step):
    if "bytes" in step:
        return binascii.unhexlify(step["bytes"])
    if step["image"] == "running":
        # The app that runs: a file system may have no room for it.
        block = bytearray(step["len"])
        Partition(Partition.RUNNING).readblocks(0, block, step["from"])
        return block
    with open("images/%s.bin" % step["image"], "rb") as file:
        file.seek(step["from"])
        return file.read(step["len"])


def handle(step):
    return handles.get(step["handle"], step["handle"])


def opened(step, number):
    handles[step.get("handle", number)] = number
    return number


def programmer(step):
    # What a programmer on the bench does to a slot, with the means of the chip: it must not be the running one.
    part = partition(step)
    block = bytearray(4096)
    if step["op"] == "flip":
        n = step["offset"] // 4096
        part.readblocks(n, block)
        block[step["offset"] % 4096] ^= 1 << step["bit"]
        part.writeblocks(n, block)
        return
    with open("images/%s.bin" % step["image"], "rb") as file:
        for n in range(part.ioctl(4, 0)):
            size = file.readinto(block)
            for i in range(size, 4096):
                block[i] = 255
            if size:
                part.writeblocks(n, block)
            else:
                part.ioctl(6, n)


def look(slot, first, count):
    # The CRC of some sectors, for the other side to hold against what has to be in them.
    part = Partition(slot)
    block = bytearray(4096)
    crc = 0
    for n in range(first, first + count):
        part.readblocks(n, block)
        crc = binascii.crc32(block, crc)
    return crc


def text(description):
    return list(description[:6]) + [binascii.hexlify(description[6]).decode()]


def label(part):
    return part.info()[4]


CALLS = {
    "flash": programmer,
    "flip": programmer,
    "program": lambda step: partition(step).writeblocks(step["n"], data(step)),
    "info": lambda step: list(partition(step).info()),
    "get_next_update": lambda step: label(partition(step).get_next_update()),
    "app_description": lambda step: text(partition(step).app_description()),
    "app_state": lambda step: partition(step).app_state(),
    "ota_begin": lambda step: opened(step, partition(step).ota_begin(step["size"])),
    "ota_resume": lambda step: opened(step, partition(step).ota_resume(step["size"])),
    "ota_write": lambda step: partition(step).ota_write(handle(step), data(step)),
    "ota_write_with_offset": lambda step: partition(step).ota_write_with_offset(
        handle(step), data(step), step["offset"]
    ),
    "ota_end": lambda step: partition(step).ota_end(handle(step)),
    "ota_abort": lambda step: partition(step).ota_abort(handle(step)),
    "set_boot": lambda step: partition(step).set_boot(),
    "check_rollback_is_possible": lambda _: Partition.check_rollback_is_possible(),
    "mark_app_valid_cancel_rollback": lambda _: Partition.mark_app_valid_cancel_rollback(),
    "mark_app_invalid_rollback_and_reboot": lambda _: Partition.mark_app_invalid_rollback_and_reboot(),
    "reset": lambda _: [label(Partition(Partition.RUNNING)), label(Partition(Partition.BOOT))],
}


def answer(step):
    got = {"r": "ESP_OK"}
    try:
        got["value"] = CALLS[step["op"]](step)
    except OSError as error:
        got["r"] = error.args[1] if len(error.args) > 1 else "OSError"
        got["code"] = error.args[0]
    except (TypeError, ValueError) as error:
        got["r"] = type(error).__name__
    if "look" in step:
        got["crc"] = look(*step["look"])
    tell(got)


def tell(got):
    if otadata:
        pair = []
        for sector in (0, 1):
            record = bytearray(32)
            otadata[0].readblocks(sector, record)
            pair.append(binascii.hexlify(record).decode())
        got["otadata"] = " ".join(pair)
    print("ANSWER", json.dumps(got))


def keep(place, restarting):
    with open("at", "w") as file:
        file.write("%d %d" % (place, restarting))


def settle(step):
    # On a real board, for what was printed to arrive.
    time.sleep_ms(step.get("settle", 0))


def run():
    place = 0
    booted = True
    restarted = False
    try:
        with open("at") as file:
            place, restarted = [int(word) for word in file.read().split()]
    except OSError:
        pass
    with open("steps.jsonl") as steps:
        steps.seek(place)
        while True:
            place = steps.tell()
            line = steps.readline()
            if not line:
                print("END")
                return
            step = json.loads(line)
            if step["op"] == "mark_app_invalid_rollback_and_reboot":
                if restarted:
                    tell({"r": "esp_restart()"})
                else:
                    keep(place, True)
                    settle(step)
                    answer(step)
                    booted = False
            elif step["op"] == "reset" and not booted:
                keep(place, False)
                settle(step)
                machine.reset()
            else:
                answer(step)
                booted = False
            restarted = False
            gc.collect()


run()
