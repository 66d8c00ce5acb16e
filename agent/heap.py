"""Modules that only one phase needs: a small heap has no room for all of them at once."""

import gc
import sys

_PACKAGE = __name__.rpartition(".")[0]

# Each name ends with a space, so that the groups can be added up: one text costs less than a tuple of many.
EXAMINING = "examine p256 protocol.manifest protocol.offer esp32_ota.image "
FETCHING = "sources direct store web http urls inflate download window protocol.want "
PROVING = "trial "


def unload(names):
    """Forget these modules of the agent, "examine protocol.manifest ", until they are imported again."""
    for name in names.split():
        path = _PACKAGE + "." + name
        if path in sys.modules:
            package, _, last = path.rpartition(".")
            del sys.modules[path]
            delattr(sys.modules[package], last)
    gc.collect()
