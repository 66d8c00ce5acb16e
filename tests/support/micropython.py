"""Run a script on a real MicroPython."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.support.paths import ROOT, program


def run_micropython(
    script: str | Path,
    *args: str | Path,
    heap: str | None = None,
    path: Iterable[str | Path] = (ROOT,),
    timeout: float = 60,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a file (a Path) or source text (a str) on MicroPython's unix port and return how it ended.

    :param heap: heap size such as "128k"; the runtime's own default of about 1 MB when None
    :param path: what `import` searches, besides frozen modules; the checkout unless given
    :param timeout: seconds until the process is killed and `subprocess.TimeoutExpired` raised
    """
    command = [program("micropython")]
    if heap is not None:
        command += ["-X", f"heapsize={heap}"]
    # `-c` puts '' first on sys.path, a file its own folder: neither may hide what the test asks for.
    command += [str(script)] if isinstance(script, Path) else ["-c", script]
    command += [str(argument) for argument in args]
    environment = {**os.environ, "MICROPYPATH": ":".join([".frozen", *map(str, path)])}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, cwd=cwd, env=environment, check=False
    )


def micropython_output(script: str | Path, *args: str | Path, **options: object) -> str:
    """Run a script that must succeed and return what it printed; an AssertionError shows its stderr."""
    result = run_micropython(script, *args, **options)  # type: ignore[arg-type]
    assert result.returncode == 0, f"exit {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout
