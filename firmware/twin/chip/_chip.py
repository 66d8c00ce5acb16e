# The wire between this MicroPython and the chip around it, which is the parent process.
# fd 3 carries requests, each with one answer. fd 4 carries the ticks of timers in and small messages
# that want no answer out. The parent's half is control.py.
import os
from micropython import const, schedule
from struct import pack, pack_into, unpack
from time import sleep_ms

_request = open(3, "r+b")
_events = open(4, "r+b")
_head = bytearray(17)
_answer = bytearray(9)
_NONE = const(255)  # in place of an answer's kind: none has come
_timers = {}
busy = False


def _send(op, a, b, c, data):
    _answer[0] = _NONE
    pack_into("<BIIII", _head, 0, op, a & 0xFFFFFFFF, b & 0xFFFFFFFF, c & 0xFFFFFFFF, len(data))
    _request.write(_head)
    _request.write(data)
    _request.readinto(_answer)


# In these two no branch stands between the request and the last of its answer: MicroPython runs what was
# scheduled at branches, and if that made a request of its own it would take our answer.


def _ask(op, a, b, c, data):
    global busy
    busy = True
    _send(op, a, b, c, data)
    kind, value, size = unpack("<BiI", _answer)
    data = _request.read(size)
    busy = False
    return kind, value, data


def _ask_read(address, offset, buf):
    global busy
    busy = True
    _send(13, address, offset, len(buf), b"")
    _request.readinto(buf)
    busy = False


def _power_off():
    # The chip around us is gone. A processor without power does nothing more: an error here would have the
    # app report a broken flash. The shell's parent is this process.
    os.system("kill -9 $PPID")  # noqa: S605
    while True:
        sleep_ms(1000)


def call(op, a=0, b=0, c=0, data=b""):
    try:
        kind, value, data = _ask(op, a, b, c, data)
    except OSError:
        _power_off()
    if kind == _NONE:
        _power_off()
    if kind == 0:
        return value
    if kind == 1:
        return data
    if data:
        raise OSError(value, str(data, "utf-8"))
    raise OSError(value)


def read(address, offset, buf):
    # The caller has checked the range, so the answer is as long as the buffer.
    try:
        _ask_read(address, offset, buf)
    except OSError:
        _power_off()
    if _answer[0] == _NONE:
        _power_off()


def tell(kind, number=0, value=0):
    _events.write(pack("<BHI", kind, number, value))


def fire(tick):
    # On the chip a callback never runs inside a flash operation, so here it waits for the answer.
    if busy:
        schedule(fire, tick)
        return
    tell(1, tick)
    timer = _timers.get(tick & 0xFF)
    if timer and timer.tick == tick:
        timer.callback(timer)


def listen():
    # A thread: it waits for ticks while the main thread does what it likes.
    tick = bytearray(2)
    while _events.readinto(tick) == 2:
        while True:
            try:
                schedule(fire, tick[0] | tick[1] << 8)
                break
            except RuntimeError:  # the scheduler's queue is full
                sleep_ms(1)
