"""A program that runs beside the test."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.inbox import Inbox


class Program:
    """A child process whose lines (stdout and stderr together) can be waited for.

    Use it as a context manager: leaving kills whatever of its process group is still there.
    """

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.command = command
        self.lines: Inbox[str] = Inbox(" ".join(command[:6]))
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return "\n".join(self.lines.items)

    def expect(self, pattern: str, timeout: float = 10, after: int = 0) -> str:
        """Wait for a line that the regular expression `pattern` finds, and return it."""
        return self.lines.expect(lambda line: re.search(pattern, line), timeout, after)

    def wait(self, timeout: float = 60) -> int:
        """Wait for the end and return the exit code (negative: ended by that signal).

        :raises AssertionError: with the program's output, when it does not end within `timeout` seconds
        """
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.lines.name} still runs after {timeout} s:\n{self.output}") from None
        self._reader.join(5)
        return code

    def interrupt(self) -> None:
        """Press Ctrl-C: like a terminal, tell the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.terminate()

    def kill(self) -> None:
        """End it as a power cut would, with every process it started in its group."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            self.process.poll()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.lines.add(line.rstrip("\n"))
        self.lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.process.wait(10)
        self._reader.join(5)
