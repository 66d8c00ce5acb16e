"""Wait for something to become true, with a limit and a message that says what did not happen."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.01


def wait_for(condition: Callable[[], T], timeout: float = 10, what: str = "") -> T:
    """Return the first true value of `condition()`.

    For what cannot announce itself, such as a file that another process writes. Messages and lines of a
    program have waits of their own that wake at once: `Watcher.expect` and `Program.expect`.

    :param timeout: seconds
    :raises AssertionError: saying what did not become true in time
    """
    limit = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > limit:
            name = what or getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"not true within {timeout} s: {name}; last value {value!r}")
        time.sleep(POLL_S)
