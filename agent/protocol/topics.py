"""Topics of one device. host/topics.py has a function for each, and takes them apart again."""

from .checks import is_name
from .errors import ProtocolError
from .reasons import BAD_NAME


def check_name(text: str) -> str:
    """Return ``text`` if it is a name, [A-Za-z0-9_-]{1,64}; raise ProtocolError(bad_name)."""
    if not is_name(text):
        raise ProtocolError(BAD_NAME, "a name is 1 to 64 of A-Z a-z 0-9 _ -")
    return text


def topic(prefix: str, device: str, leaf: str) -> str:
    """Return the topic ``leaf`` ("desired", "want", "state", "ack", "online", "chunk/...") of a device.

    The arguments are taken as they are: ``prefix`` is 1 to 3 names joined by "/" (usually "fleet").
    """
    return prefix + "/devices/" + device + "/" + leaf
