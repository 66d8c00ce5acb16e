# machine of MicroPython 1.28 on an ESP32, as far as an update needs it. Everything that the unix port's
# own machine has besides is passed through.
import machine as _unix
from _chip import _timers, call, listen, tell

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5
_listening = False


def __getattr__(name):
    return getattr(_unix, name)


def reset():
    call(8)


def deepsleep(time_ms=0):
    call(9, time_ms)


def _soft_reset():
    call(10)


def soft_reset():
    raise SystemExit


def reset_cause():
    return call(11)


def unique_id():
    return call(12)


def lightsleep(time_ms=0):
    from time import sleep_ms

    sleep_ms(time_ms or 0x3FFFFFFF)


class Timer:
    ONE_SHOT = 0
    PERIODIC = 1

    def __new__(cls, id=-1, **settings):
        # One object per number, as on the chip; -1 asks for a software timer, of which there are many.
        if id == -1:
            id = 4
            while id in _timers:
                id += 1
        elif not 0 <= id < 4:
            raise ValueError("Timer(%d) doesn't exist" % id)
        if id not in _timers:
            self = object.__new__(cls)
            self.number = id
            self.tick = id
            _timers[id] = self
        return _timers[id]

    def __init__(self, id=-1, **settings):
        if settings:
            self.init(**settings)

    def init(self, *, mode=1, freq=None, tick_hz=1000, period=0xFFFFFFFF, callback=None, hard=False):
        global _listening
        ms = int(1000 / freq) if freq else period * 1000 // tick_hz
        if ms <= 0:
            raise ValueError("Timer period is too short for this timer")
        # A tick carries a count besides the number: one that was under way before init() or deinit()
        # has the old count and is ignored.
        self.tick = (self.tick + 256) & 0xFFFF
        self.callback = callback or (lambda timer: None)
        if not _listening:
            import _thread

            _thread.start_new_thread(listen, ())
            _listening = True
        tell(3 if mode else 2, self.tick, ms)

    def deinit(self):
        self.tick = (self.tick + 256) & 0xFFFF
        tell(4, self.tick)


class WDT:
    def __init__(self, id=0, timeout=5000):
        if id:
            raise ValueError
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        tell(5, 0, timeout)

    def feed(self):
        tell(6)
