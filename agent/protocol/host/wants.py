"""A device's request for index pages and chunks, as a host reads it."""

from agent.protocol import limits
from agent.protocol.checks import hexadecimal, integer, sequence
from agent.protocol.errors import ProtocolError
from agent.protocol.message import parse
from agent.protocol.reasons import BAD_WANT
from .limits import W_MAX


def decode(payload: bytes) -> dict:
    """Return n, content, w, chunks and index; raise ProtocolError(bad_want).

    Ranges ascend and do not overlap, pages ascend; chunks and pages together are 1 to WINDOW_MAX. Whether the
    image has them is for the caller to check.
    """
    message = parse(payload, limits.WANT_MAX, BAD_WANT)
    chunks = sequence(message, "chunks", 0, limits.WINDOW_MAX, BAD_WANT)
    index = sequence(message, "index", 0, limits.PAGES_MAX, BAD_WANT, [])
    asked = len(index)
    low = 0
    for pair in chunks:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ProtocolError(BAD_WANT, "chunks")
        first, count = pair
        if type(first) is not int or type(count) is not int:
            raise ProtocolError(BAD_WANT, "chunks")
        if first < low or not 1 <= count <= limits.WINDOW_MAX:
            raise ProtocolError(BAD_WANT, "chunks")
        low = first + count
        asked += count
    if low > limits.PAGES_MAX * limits.INDEX_PAGE or not 1 <= asked <= limits.WINDOW_MAX:
        raise ProtocolError(BAD_WANT, "chunks")
    low = 0
    for page in index:
        if type(page) is not int or not low <= page < limits.PAGES_MAX:
            raise ProtocolError(BAD_WANT, "index")
        low = page + 1
    return {
        "n": integer(message, "n", 1, limits.N_MAX, BAD_WANT),
        "content": hexadecimal(message, "content", limits.CONTENT_LENGTH, BAD_WANT),
        "w": integer(message, "w", 0, W_MAX, BAD_WANT),
        "chunks": chunks,
        "index": index,
    }
