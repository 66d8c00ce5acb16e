"""Where things are: the checkout, and the programs installed beside this Python."""

import shutil
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def program(name: str) -> str:
    """Return the path of a program, looking beside this Python before PATH.

    :raises FileNotFoundError: naming the program, when it is nowhere
    """
    beside = f"{sysconfig.get_path('scripts')}:{Path(sys.executable).parent}"
    found = (
        shutil.which(name, path=beside)
        or shutil.which(name)
        or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    )
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; `sh tests/run` installs what the tests need")
    return found
