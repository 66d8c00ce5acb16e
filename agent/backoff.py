"""How long to wait before the next try: doubling, capped, with jitter, so that a fleet does not come back as one."""

from random import getrandbits


class Backoff:
    """Waits of `first`, twice that, and so on up to `cap` milliseconds, each shortened at random by up to a half."""

    def __init__(self, first, cap):
        self._first = first
        self._cap = cap
        self.tries = 0

    def reset(self):
        self.tries = 0

    def next(self):
        """The next wait in milliseconds; counts one try."""
        wait = min(self._cap, self._first << min(self.tries, 16))
        self.tries += 1
        return jitter(wait)


def jitter(wait):
    """`wait` shortened at random by up to a half."""
    return wait - ((wait >> 1) * getrandbits(8) >> 8)
