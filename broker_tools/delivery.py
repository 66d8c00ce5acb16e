"""Ways of delivery: what a user may list, and what a device can do with it. Rules only, no I/O."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from agent.protocol import limits
from agent.protocol.checks import is_printable
from broker_tools import exits
from broker_tools.errors import OtafleetError
from broker_tools.release import Release

DIRECT: Final = "direct"
STORE: Final = "store"
_URLS: Final = ("https", "http")
_NEXT = re.compile(r",(?=(?:direct|store)(?:,|$)|https?://)")
"""A comma that begins the next entry; a URL may contain others."""
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}")
_PORT = re.compile(r"[0-9]{1,5}")


def parse(given: Iterable[str]) -> list[str]:
    """Return the ordered list of ways that `--delivery` gives, each time one or several joined by commas.

    Raises OtafleetError (usage) naming the entry that cannot be one.
    """
    ways = [way for entry in given for way in _NEXT.split(entry)]
    for way in ways:
        _check(way)
    if len(set(ways)) != len(ways):
        raise OtafleetError("--delivery names one way twice", exits.USAGE)
    if not 1 <= len(ways) <= limits.SOURCES_MAX:
        message = f"--delivery takes at most {limits.SOURCES_MAX} ways, in the order of preference"
        raise OtafleetError(message, exits.USAGE)
    return ways


def usable(ways: Sequence[str], state: Mapping[str, Any], device: str) -> list[str]:
    """Return those of `ways` that the device's state says it can use, in their order.

    Raises OtafleetError when there is none.
    """
    found = [way for way in ways if _ability(way) in state["can"]]
    if not found:
        knows = [ability for ability in (DIRECT, STORE, *_URLS) if ability in state["can"]]
        message = f"{device} cannot fetch by {' or '.join(ways)}; it can by {', '.join(knows) or 'nothing'}"
        raise OtafleetError(f"{message}: choose with --delivery")
    return found


def check_encoding(release: Release, state: Mapping[str, Any], device: str) -> None:
    """Raise OtafleetError when the device's state does not say that it can decode the release."""
    encoding = release.form.encoding
    if encoding not in state["can"]:
        message = f"{device} cannot decode {encoding}, as which this release is signed"
        raise OtafleetError(f"{message}: publish with --encoding raw")


def _ability(way: str) -> str:
    """The word in a device's `can` that stands for this way."""
    return way.partition("://")[0]


def _check(way: str) -> None:
    """Raise OtafleetError unless `way` can stand in an offer."""
    if way in {DIRECT, STORE}:
        return
    if _ability(way) not in _URLS or "://" not in way:
        message = f"--delivery {way!r}: it is direct, store, https://... or http://..."
        raise OtafleetError(message, exits.USAGE)
    why = _fault(way)
    if why:
        raise OtafleetError(f"--delivery: a URL {why}", exits.USAGE)


def _fault(url: str) -> str:
    """Say what a device would refuse in the URL of an image, "" if nothing. A password in it is not repeated."""
    if len(url) > limits.SOURCE_MAX:
        return f"has at most {limits.SOURCE_MAX} characters"
    if not is_printable(url, 1, limits.SOURCE_MAX) or " " in url:
        return "is of printable ASCII without spaces; write other characters as %XX"
    authority, _, path = url.partition("://")[2].partition("/")
    host, colon, port = authority.partition(":")
    if "@" in authority:
        return "holds no user and password: every reader of the offer would see them"
    if "#" in url:
        return "has no fragment (#...)"
    if not _HOST.fullmatch(host):
        return "names a host: letters, digits, dots and hyphens"
    if colon and not (_PORT.fullmatch(port) and 0 < int(port) < 65536):
        return "names a port of 1 to 65535, or none"
    if not path or path.endswith("/"):
        return "names the image's file, not a folder"
    return ""
