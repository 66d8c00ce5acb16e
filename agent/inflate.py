"""Encoding `deflate`: one chunk as raw deflate (RFC 1951) with a window of at most 4096 bytes."""

from io import BytesIO

from deflate import RAW, DeflateIO

_WINDOW_BITS = 12


def inflate(payload, into):
    """Inflate `payload` into the view `into`. Returns whether it filled it exactly.

    The window, as many bytes again as a chunk has, and a copy of the payload are taken from the heap meanwhile.
    """
    stream = DeflateIO(BytesIO(payload), RAW, _WINDOW_BITS)
    have = 0
    try:
        while have < len(into):
            got = stream.readinto(into[have:])
            if not got:
                return False
            have += got
        return not stream.read(1)
    except (OSError, EOFError):
        return False
