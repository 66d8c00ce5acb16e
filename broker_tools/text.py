"""Text that came from elsewhere, made fit for a terminal."""

import unicodedata

SHOWN_MAX = 120
"""Longest piece of foreign text that is shown, in characters."""


def clean(text: object, limit: int = SHOWN_MAX) -> str:
    """Return `text` without anything a terminal would obey: control, format and private characters, line breaks.

    Devices, files and brokers choose these texts. An escape sequence would colour, clear or retitle the terminal,
    and a bidirectional mark would show a name other than the one that is meant.
    """
    raw = str(text)[: limit + 1]
    shown = "".join("?" if unicodedata.category(c)[0] in "CZ" and c != " " else c for c in raw)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def size_text(size: int) -> str:
    """Bytes for a person, thousands grouped: "1,495,344 bytes"."""
    return f"{size:,} byte{'' if size == 1 else 's'}"
