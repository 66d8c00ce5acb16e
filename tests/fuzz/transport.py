"""A byte-level fuzzer over the device's transport: `python -m tests.fuzz.transport --cases 1000000 --seed 1`.

Each case is a stream as no broker sends it, made from the seed and the case's number. The device's own link reads it
on a real MicroPython in a small heap, and must come to the same end as an independent reading of MQTT 3.1.1: the same
messages, the same acknowledgements, the connection kept or given up. Never another exception, never an end that does
not come, never memory that does not come back.
"""

import argparse
import os
import queue
import random
import struct
import subprocess
import sys
import threading
from pathlib import Path

from tests.fuzz.streams import Expected, stream
from tests.support.paths import ROOT, program

HERE = Path(__file__).parent
HEAP = "256k"
VERDICTS = ("kept open", "given up", "an exception", "no end", "memory lost")
_ANSWER = struct.Struct("<BI")
_BATCH = 64


class Difference(Exception):
    """The device made something else of a case; the message says of which, and how to see it again."""


def segment(dice: random.Random, data: bytes) -> int:
    """The most that one read may give."""
    return dice.choice((1, 2, 3, 7, 64, 1460, 65_535) if len(data) < 1000 else (64, 536, 1460, 65_535))


def fuzz(cases: int, seed: int, first: int = 0) -> dict[str, int]:
    """Run cases `first` to `first + cases - 1` of a seed and return how often each verdict came.

    :raises Difference: at the first case of which the device makes something else than it must
    """
    device = subprocess.Popen(
        [program("micropython"), "-X", f"heapsize={HEAP}", str(HERE / "device" / "receiver.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "MICROPYPATH": f".frozen:{ROOT}:{ROOT / 'tests' / 'agent' / 'on_device'}"},
    )
    with device:
        try:
            return _compare(device, seed, range(first, first + cases))
        finally:
            device.kill()


def _compare(device: subprocess.Popen[bytes], seed: int, numbers: range) -> dict[str, int]:
    assert device.stdin is not None
    assert device.stdout is not None
    assert device.stderr is not None
    waiting: queue.Queue[list[Expected]] = queue.Queue(4)  # batches on their way
    gone = threading.Event()
    seen = dict.fromkeys(VERDICTS[:2], 0)

    def send() -> None:
        for start in range(0, len(numbers), _BATCH):
            expected, out = [], bytearray()
            for number in numbers[start : start + _BATCH]:
                dice = random.Random(f"{seed} {number}")
                data = stream(dice)
                out += struct.pack("<IH", len(data), segment(dice, data)) + data
                expected.append(Expected(data))
            while not gone.is_set():
                try:
                    waiting.put(expected, timeout=0.5)
                    break
                except queue.Full:
                    continue
            try:
                device.stdin.write(out)
                device.stdin.flush()
            except OSError:
                return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for start in range(0, len(numbers), _BATCH):
            for number, expected in zip(numbers[start : start + _BATCH], waiting.get(), strict=True):
                answer = device.stdout.read(_ANSWER.size)
                if len(answer) < _ANSWER.size:
                    raise Difference(
                        f"the device ended at case {number} of seed {seed}: {device.stderr.read()!r}"
                    )
                verdict, crc = _ANSWER.unpack(answer)
                if (verdict, crc) != (expected.verdict, expected.crc):
                    must = VERDICTS[expected.verdict]
                    raise Difference(
                        f"case {number} of seed {seed} must be {must}, and is {VERDICTS[verdict]}"
                        f"{'' if verdict != expected.verdict else ' with other messages'}; "
                        f"see it again: python -m tests.fuzz.transport --cases 1 --seed {seed} --first {number}"
                    )
                seen[VERDICTS[verdict]] += 1
    finally:
        gone.set()
        device.kill()
        sender.join()
    return seen


def main() -> str | None:
    """Run from the command line; a line about the first difference, or None."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    options = parser.parse_args()
    try:
        seen = fuzz(options.cases, options.seed, options.first)
    except Difference as difference:
        return str(difference)
    sys.stdout.write(f"{options.cases} cases of seed {options.seed}: {seen}\n")
    return None


if __name__ == "__main__":
    sys.exit(main())
