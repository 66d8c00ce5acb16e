"""A list that other threads fill and a test waits on."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Everything that arrived, in order; `expect` wakes as soon as something that fits is there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.items: list[T] = []
        self._changed = threading.Condition()
        self._closed = False

    def add(self, item: T) -> None:
        """Append an item and wake who waits."""
        with self._changed:
            self.items.append(item)
            self._changed.notify_all()

    def close(self) -> None:
        """Say that nothing more will come: who waits fails at once instead of waiting out its limit."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def mark(self) -> int:
        """Return a position to give to `expect` as `after`, so that it ignores what came before now."""
        with self._changed:
            return len(self.items)

    def expect(self, fits: Callable[[T], object], timeout: float = 10, after: int = 0) -> T:
        """Return the first item from position `after` on for which `fits` is true.

        :param timeout: seconds
        :raises AssertionError: with the last items that did come
        """
        limit = time.monotonic() + timeout
        position = after
        with self._changed:
            while True:
                for item in self.items[position:]:
                    if fits(item):
                        return item
                position = len(self.items)
                left = limit - time.monotonic()
                if self._closed or left <= 0:
                    break
                self._changed.wait(left)
            last = "\n".join(f"  {item!r:.400}" for item in self.items[-25:]) or "  nothing"
            why = "it ended" if self._closed else f"{timeout} s passed"
            raise AssertionError(f"{self.name}: {why} before what was expected; the last that came:\n{last}")
