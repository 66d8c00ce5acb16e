"""Which chunks to ask for next: windows, one ahead, with gap repair. No I/O; `now` is a ticks_ms() of the caller's.

Theory of operation. A want asks for at most one window of chunks. When half of it has arrived, the next want goes out,
so that the wire never runs dry while the flash is busy. Messages of one publisher keep their order through a broker,
so a chunk that is still missing when a chunk of a *later* want arrives is lost and goes first into the next want.
When nothing arrives for a while, all that was asked is taken for lost, and half as much is asked. The window doubles
while it arrives within WINDOW_S: it bounds what a broker may owe this device, because brokers silently drop what
piles up.
"""

from time import ticks_diff

from .backoff import Backoff
from .protocol.limits import STALLED_S, TRIES, WINDOW_FIRST, WINDOW_MAX, WINDOW_S

_WINDOW_MS = WINDOW_S * 1000
_PATIENCE_CAP_MS = 60_000


class Window:
    """Asks for the chunks of range(first, end) for which `need(chunk)` is true. `size` is today's window."""

    def __init__(self, first, end, need, now, size=WINDOW_FIRST):
        self.size = size
        self._next = first
        self._end = end
        self._need = need
        self._latest = []  # asked by the newest want and not arrived
        self._older = []  # asked before it and not arrived
        self._lost = []
        self._half = 0  # how many of the newest want may be open when the next one goes out
        self._asked_at = now
        self._silence = Backoff(2 * _WINDOW_MS, _PATIENCE_CAP_MS)
        self._patience = _WINDOW_MS
        self._life = now

    def ask(self, now):
        """The chunks of the next want in ascending order, or None while there is nothing to ask for."""
        if len(self._latest) > self._half:
            return None
        room = min(self.size, WINDOW_MAX - len(self._latest) - len(self._older))
        asked = []
        while self._lost and len(asked) < room:
            chunk = self._lost.pop(0)
            if self._need(chunk):
                asked.append(chunk)
        while len(asked) < room and self._next < self._end:
            if self._need(self._next):
                asked.append(self._next)
            self._next += 1
        if not asked:
            return None
        asked.sort()
        self._older += self._latest
        self._latest = asked[:]
        self._half = len(asked) >> 1
        self._asked_at = self._life = now
        return asked

    def arrived(self, chunk, now):
        """A chunk that was needed has arrived and is right."""
        if chunk in self._latest:
            self._latest.remove(chunk)
            if self._older:
                self._lost += self._older
                self._older = []
            if len(self._latest) == self._half:
                self._resize(ticks_diff(now, self._asked_at))
        elif chunk in self._older:
            self._older.remove(chunk)
        self._silence.reset()
        self._patience = _WINDOW_MS
        self._life = now

    def _resize(self, half_took):
        self.size = min(WINDOW_MAX, self.size * 2) if half_took * 2 <= _WINDOW_MS else max(1, self.size >> 1)

    def alive(self, now):
        """Part of a message has come: somebody is sending, however slowly."""
        self._life = now

    def spoiled(self, chunk):
        """A chunk has come that is not what the index says: it is asked for again, and counts as one vain try."""
        for asked in (self._latest, self._older):
            if chunk in asked:
                asked.remove(chunk)
                self._lost.append(chunk)
                self._silence.next()

    def silent(self, now):
        """Whether nobody has answered TRIES times. Each patience spent in vain halves the window and asks again."""
        if ticks_diff(now, self._life) >= self._patience:
            self._patience = STALLED_S * 1000 if self.stalled() else self._silence.next()
            self.size = max(1, self.size >> 1)
            self.repeat(now)
        return self.stalled()

    def stalled(self):
        return self._silence.tries >= TRIES

    def restart(self, now):
        """Somebody else is asked from now on: everything outstanding, with fresh patience."""
        self._silence.reset()
        self._patience = _WINDOW_MS
        self.repeat(now)

    def repeat(self, now):
        """Count everything asked as lost, as when the connection that carried the wants is gone."""
        self._lost += self._older + self._latest
        self._older = []
        self._latest = []
        self._life = now
