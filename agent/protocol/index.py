"""Arithmetic of chunks and index pages. Sizes and lengths are bytes; chunks and pages count from 0."""

import hashlib

from .limits import CHUNK, INDEX_ENTRY, INDEX_PAGE


def chunks(size: int) -> int:
    """Return how many chunks an image of ``size`` bytes has."""
    return (size + CHUNK - 1) // CHUNK


def pages(size: int) -> int:
    """Return how many index pages an image of ``size`` bytes has."""
    return (chunks(size) + INDEX_PAGE - 1) // INDEX_PAGE


def page_entries(size: int, page: int) -> int:
    """Return how many entries index page ``page`` has: INDEX_PAGE, fewer on the last, 0 beyond it."""
    return max(0, min(INDEX_PAGE, chunks(size) - page * INDEX_PAGE))


def chunk_length(size: int, number: int) -> int:
    """Return the bytes of chunk ``number`` as it lies in flash: CHUNK, fewer for the last, 0 beyond it."""
    return max(0, min(CHUNK, size - number * CHUNK))


def entry(data: bytes) -> bytes:
    """Return the index entry of one chunk as it lies in flash: the first 8 bytes of its SHA-256."""
    return hashlib.sha256(data).digest()[:INDEX_ENTRY]
