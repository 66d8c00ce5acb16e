"""A full disk without a disk of our own: the system refuses to let any file grow beyond a limit."""

import os
import subprocess
from pathlib import Path

from tests.support.cli import Otafleet
from tests.support.paths import program


def run_limited(otafleet: Otafleet, blocks: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `otafleet` in a shell where no file may grow beyond `blocks` times 512 bytes (EFBIG)."""
    return subprocess.run(
        ["sh", "-c", f'ulimit -f {blocks} && exec "$@"', "sh", program("otafleet"), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        # Compiled modules would be written too, and be cut.
        env={**os.environ, **otafleet.environment, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
