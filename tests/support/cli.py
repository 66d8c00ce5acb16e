"""The command `otafleet` as a user runs it: a process of its own."""

import os
import subprocess
from pathlib import Path

from tests.support.paths import program
from tests.support.program import Program


class Otafleet:
    """`otafleet` with a home, a broker and a terminal width that do not depend on who runs the tests."""

    def __init__(self, home: Path, broker: str | None = None) -> None:
        self.home = home
        self.broker = broker
        self.environment = {
            "OTAFLEET_HOME": str(home),
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "error",
        }
        if broker is not None:
            self.environment["OTAFLEET_BROKER"] = broker

    def run(
        self, *arguments: str | Path, timeout: float = 60, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; stdout and stderr apart."""
        return subprocess.run(
            [program("otafleet"), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **self.environment, **(env or {})},
            check=False,
        )

    def ok(self, *arguments: str | Path, timeout: float = 60) -> str:
        """Run to the end, require exit 0, and return stdout."""
        result = self.run(*arguments, timeout=timeout)
        assert result.returncode == 0, f"exit {result.returncode}\n{result.stdout}{result.stderr}"
        return result.stdout

    def start(self, *arguments: str | Path) -> Program:
        """Start it beside the test; use the result as a context manager."""
        return Program([program("otafleet"), *map(str, arguments)], env=self.environment)
