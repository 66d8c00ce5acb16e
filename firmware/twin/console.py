"""What a twin prints: into DIR/console.log, and line by line to whoever wants it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .errors import TwinError

_LIMIT = 4 * 1024 * 1024


class Console:
    """The serial console of one twin."""

    def __init__(self, path: Path, log: Callable[[str], None] | None) -> None:
        """``log`` gets each line without its end. Raises TwinError when the file can't be written."""
        self._path = path
        self._log = log
        self._partial = b""
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise TwinError(f"can't write {path} ({error.strerror})") from error

    def feed(self, data: bytes) -> None:
        """Take output of the device as it comes."""
        self._write(data)
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._tell(line)

    def line(self, text: str) -> None:
        """Add a line of the twin's own; it begins on a line of its own."""
        if self._partial:
            self._write(b"\n")
            self._tell(self._partial)
            self._partial = b""
        self._write(text.encode() + b"\n")
        self._tell(text.encode())

    def close(self) -> None:
        """Write out what is left."""
        if self._partial:
            self._tell(self._partial)
            self._partial = b""
        self._file.close()

    def _tell(self, line: bytes) -> None:
        if self._log is not None:
            self._log(line.rstrip(b"\r").decode("utf-8", "replace"))

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
            if self._file.tell() > _LIMIT:
                # A device in a loop of tracebacks must not fill the disk: one older part is kept.
                self._file.close()
                self._path.replace(self._path.with_suffix(".log.1"))
                self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise TwinError(f"can't write {self._path} ({error.strerror}): free some space") from error
