"""Ctrl-C and SIGTERM as a question that long work asks, so that it can tidy up; the second one ends at once."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self


def never() -> bool:
    """Nobody ever wants us to stop."""
    return False


class Stopping:
    """A context manager; call it to learn whether somebody wants us to stop."""

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Take over SIGINT and SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give both signals back."""
        self._restore()

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return self._asked

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)
