"""What a running publication tells whoever watches it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    kind -- device, signed, offered, phase, progress, broker, note or outcome; programs go by it
    text -- one plain line for a person
    fields -- the same for a program: JSON values
    """

    kind: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]


def nobody(_event: Event) -> None:
    """Listen to nothing."""
