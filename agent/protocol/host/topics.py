"""Topics: built from checked names, and taken apart again.

``prefix`` is 1 to 3 names joined by "/" (usually "fleet"). The builders take arguments as they are: check the
prefix and the device once with check_prefix() and check_name(); no topic is then longer than TOPIC_MAX bytes.
"""

from agent.protocol import limits
from agent.protocol.checks import is_hex, is_name
from agent.protocol.errors import ProtocolError
from agent.protocol.reasons import BAD_NAME
from agent.protocol.topics import check_name, topic
from .limits import PREFIX_LEVELS

__all__ = (
    "ack",
    "all_devices",
    "check_name",
    "check_prefix",
    "chunk",
    "chunk_filter",
    "desired",
    "image_chunk",
    "image_page",
    "keys",
    "online",
    "page",
    "parse_content",
    "parse_device",
    "state",
    "topic",
    "want",
)


def check_prefix(text: str) -> str:
    """Return ``text`` if it is 1 to 3 names joined by "/", 64 characters at most; else raise bad_name."""
    names = text.split("/") if isinstance(text, str) and len(text) <= limits.NAME_MAX else ()
    if not 1 <= len(names) <= PREFIX_LEVELS or not all(is_name(name) for name in names):
        raise ProtocolError(BAD_NAME, "a prefix is 1 to 3 names joined by /, at most 64 characters")
    return text


def desired(prefix: str, device: str) -> str:
    """Topic of the offer: host to device, QoS 1, retained."""
    return topic(prefix, device, "desired")


def want(prefix: str, device: str) -> str:
    """Topic of requests for chunks: device to host, QoS 0, not retained."""
    return topic(prefix, device, "want")


def state(prefix: str, device: str) -> str:
    """Topic of the device's whole state: device to host, QoS 1, retained."""
    return topic(prefix, device, "state")


def ack(prefix: str, device: str) -> str:
    """Topic of single transitions: device to host, QoS 1, not retained."""
    return topic(prefix, device, "ack")


def online(prefix: str, device: str) -> str:
    """Topic of presence and last will: device to host, QoS 1, retained."""
    return topic(prefix, device, "online")


def chunk(prefix: str, device: str, content: str, offset: int) -> str:
    """Topic of the chunk at byte ``offset``, delivery "direct": QoS 0, not retained."""
    return topic(prefix, device, "chunk/%s/%d" % (content, offset))


def page(prefix: str, device: str, content: str, number: int) -> str:
    """Topic of index page ``number``, delivery "direct": QoS 0, not retained."""
    return topic(prefix, device, "chunk/%s/index/%d" % (content, number))


def chunk_filter(prefix: str, device: str, content: str) -> str:
    """Filter for all chunks and index pages of one content, delivery "direct"."""
    return topic(prefix, device, "chunk/" + content + "/#")


def image_chunk(prefix: str, project: str, content: str, offset: int) -> str:
    """Topic of the chunk at byte ``offset``, delivery "store": QoS 1, retained."""
    return "%s/images/%s/%s/%d" % (prefix, project, content, offset)


def image_page(prefix: str, project: str, content: str, number: int) -> str:
    """Topic of index page ``number``, delivery "store": QoS 1, retained."""
    return "%s/images/%s/%s/index/%d" % (prefix, project, content, number)


def keys(prefix: str, version: int) -> str:
    """Topic of key list ``version`` (1 and up): host to fleet, QoS 1, retained."""
    return "%s/keys/%d" % (prefix, version)


def all_devices(prefix: str, leaf: str) -> str:
    """Filter for ``leaf`` of every device. It only finds newcomers: brokers may cut a wildcard's replay."""
    return topic(prefix, "+", leaf)


def parse_device(prefix: str, text: str) -> tuple[str, str] | None:
    """Return (device, leaf) of the topic ``text`` below <prefix>/devices/, or None if it is none of ours.

    ``leaf`` is all that follows the device: "state", or "chunk/<content>/<offset>".
    """
    start = prefix + "/devices/"
    if not text.startswith(start):
        return None
    rest = text[len(start) :]
    cut = rest.find("/")
    if cut < 0 or cut + 1 == len(rest) or not is_name(rest[:cut]):
        return None
    return rest[:cut], rest[cut + 1 :]


def parse_content(text: str) -> tuple[str, bool, int] | None:
    """Return (content, is index page, number) of "<content>/<offset>" or "<content>/index/<page>", else None.

    ``text`` is what follows ".../chunk/" or ".../images/<project>/". Offsets are whole chunks, and neither
    offset nor page exceeds what the largest image has.
    """
    parts = text.split("/")
    is_page = len(parts) == 3 and parts[1] == "index"
    if not (is_page or len(parts) == 2) or not is_hex(parts[0], limits.CONTENT_LENGTH):
        return None
    digits = parts[-1]
    if not digits.isdigit() or len(digits) > 8 or (digits[0] == "0" and digits != "0"):
        return None
    try:
        number = int(digits)
    except ValueError:  # CPython's isdigit() also knows superscripts
        return None
    if is_page:
        known = number < limits.PAGES_MAX
    else:
        known = number < limits.IMAGE_MAX and number % limits.CHUNK == 0
    return (parts[0], is_page, number) if known else None
