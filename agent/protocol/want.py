"""A device's request for index pages and chunks, delivery "direct"; host/wants.py reads it."""

from .limits import WANT_MAX
from .message import encode as _encode


def encode(n: int, content: str, w: int, chunks: list, index: list[int]) -> bytes:
    """Return a request. ``chunks``: [first, count] pairs, ascending; ``index``: page numbers, ascending."""
    return _encode({"n": n, "content": content, "w": w, "chunks": chunks, "index": index}, WANT_MAX)
