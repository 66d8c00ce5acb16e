"""The home: one directory with keys, store and ledger of signed releases."""

import os
import sys
from pathlib import Path

from broker_tools.errors import OtafleetError, os_reason

VARIABLE = "OTAFLEET_HOME"


def path() -> Path:
    """Where the home is, whether or not it exists: $OTAFLEET_HOME, or ~/.otafleet."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".otafleet"


def ensure() -> Path:
    """Return the home; make it (for this user only) and say on stderr where, if it is not there yet.

    Raises OtafleetError when the directory cannot be made.
    """
    home = path()
    if home.is_dir():
        return home
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = (
            f"cannot make the home directory {home}: {os_reason(error)}; set {VARIABLE} to another place"
        )
        raise OtafleetError(message) from None
    sys.stderr.write(f"made {home} for keys, store and ledger ({VARIABLE} names another place)\n")
    return home
