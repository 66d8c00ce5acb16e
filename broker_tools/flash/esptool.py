"""esptool, run as a program. It is GPL: nothing of it is imported here, and what it prints is all that is known of it.

Every call opens the port, resets the chip into its loader and leaves it there, so that no half-written firmware
starts between two calls; `restart` lets it go.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker_tools.errors import OtafleetError
from broker_tools.text import clean

OLDEST: Final = 5
"""First major release whose commands have the names that are used here."""
VERSION_S: Final = 60
"""Seconds that esptool gets to say its version; importing itself takes it most of one."""
_INSTALL: Final = "pip install 'otafleet[flash]'"
_REASON: Final = re.compile(r"A fatal error occurred: (.+)")
_HINTS: Final = (
    ("port is busy or doesn't exist", "is it right, and open nowhere else, and may you use it?"),
    ("Failed to connect", "is it the right port? If the board has a button BOOT, hold it while it connects"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes and where in flash they go. Both address and size are on edges of sectors, or the rest is erased."""

    name: str
    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """What a board says of itself."""

    chip: str
    """Such as "esp32s3"."""
    revision: int
    """Major * 100 + minor."""
    description: str
    flash_size: int
    """Bytes."""
    mac: str


class Esptool:
    """A board on a serial port."""

    def __init__(self, port: str, baud: int, chip: str = "auto") -> None:
        """Find esptool. Raises OtafleetError when it is not installed or too old."""
        self.port = port
        self._options = ["--chip", chip, "--port", port, "--baud", str(baud)]
        beside = f"{sysconfig.get_path('scripts')}{os.pathsep}{Path(sys.executable).parent}"
        program = shutil.which("esptool", path=beside) or shutil.which("esptool")
        if program is None:
            raise OtafleetError(f"esptool is not installed: {_INSTALL}")
        self._program = program
        found = re.search(r"^(?:esptool )?v?(\d+)\.", self._execute(["version"], VERSION_S), re.MULTILINE)
        if found is None or int(found[1]) < OLDEST:
            raise OtafleetError(f"{program} is older than esptool {OLDEST}: {_INSTALL}")

    def identify(self) -> Identity:
        """Ask the board what it is. Raises OtafleetError when there is none, or when it does not tell."""
        text = self._run("flash-id")
        chip = re.search(r"Connected to (ESP32[-\w]*) on ", text)
        size = re.search(r"Detected flash size: (\d+)(KB|MB)", text)
        if chip is None or size is None:
            what = "its chip" if chip is None else "how large its flash is"
            raise OtafleetError(
                f"the board on {self.port} does not say {what}: is it an ESP32 with its flash?"
            )
        kind = re.search(r"Chip type: *(.+)", text)
        revision = re.search(r"revision v(\d+)\.(\d+)", kind[1]) if kind else None
        mac = re.search(r"MAC: *([0-9a-f:]+)", text)
        return Identity(
            chip=chip[1].lower().replace("-", ""),
            revision=int(revision[1]) * 100 + int(revision[2]) if revision else 0,
            description=clean(kind[1].strip() if kind else chip[1]),
            flash_size=int(size[1]) << (20 if size[2] == "MB" else 10),
            mac=mac[1] if mac else "",
        )

    def read(self, address: int, size: int) -> bytes:
        """Return what the flash holds. Raises OtafleetError."""
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "read.bin"
            self._run("read-flash", hex(address), hex(size), str(target))
            data = target.read_bytes()
        if len(data) != size:
            raise OtafleetError(
                f"esptool read {len(data)} bytes of {size} at {address:#x}: try a lower --baud"
            )
        return data

    def erase(self, address: int, size: int) -> None:
        """Erase whole sectors. Raises OtafleetError."""
        self._run("erase-region", hex(address), hex(size))

    def write(self, parts: Sequence[Part]) -> None:
        """Write the parts, whose bytes are taken as they are. Raises OtafleetError."""
        self._with_files(["write-flash", "--no-progress", *_AS_IS], parts)

    def verify(self, parts: Sequence[Part]) -> None:
        """Compare the flash with the parts. Raises OtafleetError when they differ."""
        self._with_files(["verify-flash", *_AS_IS], parts)

    def restart(self) -> None:
        """Let the board run what it has. Raises OtafleetError."""
        self._run("read-mac", after="hard-reset")

    def _with_files(self, command: Sequence[str], parts: Sequence[Part]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            pairs = []
            for part in parts:
                # Named for its address alone: two parts of a file system have the same name.
                path = Path(folder) / f"{part.address:08x}.bin"
                path.write_bytes(part.data)
                pairs += [hex(part.address), str(path)]
            self._run(*command, *pairs)

    def _run(self, *arguments: str, after: str = "no-reset") -> str:
        return self._execute([*self._options, "--after", after, *arguments])

    def _execute(self, arguments: Sequence[str], timeout: float | None = None) -> str:
        try:
            result = subprocess.run(
                [self._program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                # esptool wraps what it prints at the width of the terminal, and colours it.
                env={**os.environ, "COLUMNS": "1000", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8:replace"},
                timeout=timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OtafleetError(f"cannot run {self._program}: {error}") from None
        if result.returncode:
            raise OtafleetError(_failure(self.port, result.stdout))
        return result.stdout


_AS_IS: Final = ("--flash-size", "keep", "--flash-mode", "keep", "--flash-freq", "keep")
"""esptool is not to change the bootloader's header on its way."""


def _failure(port: str, text: str) -> str:
    """One line for what esptool printed before it gave up."""
    found = _REASON.findall(text)
    lines = [line for line in text.splitlines() if line.strip()]
    reason = found[-1] if found else lines[-1] if lines else "it gave no reason"
    reason = clean(reason.strip().rstrip("."), 200)
    hint = next((hint for sign, hint in _HINTS if sign in reason), "")
    return f"{port}: {reason}" + (f": {hint}" if hint else "")
