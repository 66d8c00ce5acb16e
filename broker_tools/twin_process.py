"""A twin in a process of its own, for a command that has other things to do. It never outlives that command.

The process ends when its standard input closes, and a parent's death closes it, however the parent dies.
"""

import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from broker_tools import twins
from broker_tools.errors import OtafleetError

END_S = 10
"""Seconds that a twin gets to end before it is killed."""
HEAP = "128k"


class TwinProcess:
    """A context manager: inside it the twin in `folder` runs. What it prints is in `folder`/console.log."""

    def __init__(self, folder: Path, *, flash_timing: bool = False) -> None:
        """Prepare; nothing runs yet."""
        self._command = [sys.executable, "-m", __name__, str(folder), "timing" if flash_timing else ""]
        self._process: subprocess.Popen[bytes] | None = None

    def failure(self) -> str:
        """Return why the twin has ended by itself, in one line; "" while it runs."""
        if self._process is None or self._process.poll() is None or self._process.stderr is None:
            return ""
        said = self._process.stderr.read().decode("utf-8", "replace").strip()
        return said.rpartition("\n")[2] or f"the twin ended with code {self._process.returncode}"

    def stop(self) -> None:
        """Switch the twin off, as pulling its plug does, and wait for the end of its process."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:  # closes its standard input, which is what it waits for
            try:
                process.communicate(timeout=END_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def __enter__(self) -> Self:
        # A session of its own keeps a terminal's Ctrl-C away: whoever started the twin decides when it ends.
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _main() -> int:
    folder, timing = sys.argv[1:]
    closed = threading.Event()

    def watch() -> None:
        sys.stdin.buffer.read()
        closed.set()

    threading.Thread(target=watch, daemon=True).start()
    try:
        twins.run(Path(folder), heap=HEAP, flash_timing=bool(timing), stop=closed)
    except OtafleetError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - the parent shows it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
