"""Feeds streams from stdin to the link of agent/link.py, and says on stdout what came of each.

A case is <length u32, segment u16> and so many bytes, which the link gets in reads of at most `segment` bytes. The
answer is <verdict u8, CRC-32 u32>: over all messages handed over and all that was written. Runs on MicroPython.
"""

import gc
import struct
import sys
from binascii import crc32

from agent import packets
from agent.link import Link

OPEN, BROKEN, RAISED, ENDLESS, LEAKED = range(5)
CHECK_EVERY = 256  # cases
LEAK_MAX = 65_536  # bytes more live after cases than at the first check: old references on the stack hold a few of them


class Stream:
    """The broker's side: gives what it holds piece by piece, takes everything."""

    def __init__(self, data, segment):
        self.view = memoryview(data)
        self.at = 0
        self.segment = segment
        self.paused = False
        self.written = 0  # CRC-32

    def readinto(self, view):
        self.paused = not self.paused
        if self.paused or self.at == len(self.view):
            return None
        size = min(len(view), self.segment, len(self.view) - self.at)
        view[:size] = self.view[self.at : self.at + size]
        self.at += size
        return size

    def write(self, data):
        self.written = crc32(data, self.written)
        return len(data)

    def close(self):
        pass


def judge(link, stream):
    """(verdict, CRC-32) of one case."""
    link._reader._stream = link._sock = stream
    total = 0
    for _ in range(4 * len(stream.view) + 16):
        try:
            message = link.pump()
        except OSError:
            return BROKEN, crc32(struct.pack("<I", stream.written), total)
        if message:
            topic, payload = message
            total = crc32(payload, crc32(topic.encode(), total))
        elif stream.at == len(stream.view) and not link._reader.fresh and not stream.paused and not link._out:
            return OPEN, crc32(struct.pack("<I", stream.written), total)
    return ENDLESS, 0


def main():
    source = sys.stdin.buffer
    link = Link(bytearray(packets.PACKET_MAX), "kitchen", "", 0)
    live = None
    count = 0
    while True:
        head = source.read(6)
        if len(head) < 6:
            return
        length, segment = struct.unpack("<IH", head)
        data = source.read(length)
        link.open("online", b"")
        try:
            verdict, total = judge(link, Stream(data, segment))
        except Exception as error:  # noqa: BLE001 - which one, the host is told
            sys.print_exception(error, sys.stderr)
            verdict, total = RAISED, 0
        count += 1
        if count % CHECK_EVERY == 0:
            link.close()
            data = None
            gc.collect()
            if live is None:
                live = gc.mem_alloc()
            elif gc.mem_alloc() > live + LEAK_MAX:
                verdict = LEAKED
        sys.stdout.buffer.write(struct.pack("<BI", verdict, total))


main()
