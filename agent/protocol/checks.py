"""Checks of single fields from the network: each raises ProtocolError(reason, field) or returns the value.

``message`` is a parsed JSON object, ``key`` the field, ``default`` its value when absent (None: required).
A bool is no int here, and a float never is.
"""

from . import limits
from .errors import ProtocolError

_NAME = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_VERSION = _NAME + ".+"
_HEX = "0123456789abcdef"
_HOST = "abcdefghijklmnopqrstuvwxyz0123456789-."
_PRINTABLE = _VERSION + " !\"#$%&'()*,/:;<=>?@[\\]^`{|}~"


def made_of(text: object, alphabet: str, low: int, high: int) -> bool:
    """Tell whether ``text`` is a str of low to high characters, all of ``alphabet``."""
    # strip() takes the alphabet away from both ends: a character that is not in it stays.
    return isinstance(text, str) and low <= len(text) <= high and not text.strip(alphabet)


def is_name(text: object, low: int = 1) -> bool:
    """Tell whether ``text`` is a name: [A-Za-z0-9_-], ``low`` to NAME_MAX characters."""
    return made_of(text, _NAME, low, limits.NAME_MAX)


def is_version(text: object) -> bool:
    """Tell whether ``text`` is a version: [A-Za-z0-9._+-], 1 to VERSION_MAX characters."""
    return made_of(text, _VERSION, 1, limits.VERSION_MAX)


def is_hex(text: object, length: int) -> bool:
    """Tell whether ``text`` is exactly ``length`` lower case hex digits."""
    return made_of(text, _HEX, length, length)


def is_host(text: object) -> bool:
    """Tell whether ``text`` is a host name in lower case (RFC 1123, at most 253 characters) or an IPv4 address."""
    return made_of(text, _HOST, 1, 253)


def is_printable(text: object, low: int, high: int) -> bool:
    """Tell whether ``text`` is low to high characters of printable ASCII, space included."""
    return made_of(text, _PRINTABLE, low, high)


def integer(message: dict, key: str, low: int, high: int, reason: str, default: int | None = None) -> int:
    """Return the whole number ``message[key]``, low to high inclusive."""
    value = message.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise ProtocolError(reason, key)
    return value


def sequence(message: dict, key: str, low: int, high: int, reason: str, default: list | None = None) -> list:
    """Return the list ``message[key]`` of low to high entries; the entries are the caller's to check."""
    value = message.get(key, default)
    if not isinstance(value, list) or not low <= len(value) <= high:
        raise ProtocolError(reason, key)
    return value


def name(message: dict, key: str, reason: str, low: int = 1) -> str:
    """Return the name ``message[key]``; with ``low`` 0 it may be empty, and absent means empty."""
    value = message.get(key, None if low else "")
    if not is_name(value, low):
        raise ProtocolError(reason, key)
    return value


def hexadecimal(message: dict, key: str, length: int, reason: str) -> str:
    """Return the string of exactly ``length`` lower case hex digits ``message[key]``."""
    value = message.get(key)
    if not is_hex(value, length):
        raise ProtocolError(reason, key)
    return value
