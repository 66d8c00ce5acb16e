"""Where the power goes: which operations of a good update, and which of the recovery from that. Rules without I/O."""

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from broker_tools import exits
from broker_tools.errors import OtafleetError


@dataclass(frozen=True, slots=True, order=True)
class Cut:
    """The power goes in the middle of an operation, and perhaps once more.

    operation -- of the good updates, counted from 1 over both of them
    second -- of the recovery: counted from 1 after the first cut; 0 when there is none
    """

    operation: int
    second: int = 0

    def __str__(self) -> str:
        return f"{self.operation}+{self.second}" if self.second else str(self.operation)

    def seeds(self, seed: int) -> list[int]:
        """The seed of the damage that each cut does: for a first cut the same whether or not there is a second."""
        names = [Cut(self.operation), self] if self.second else [self]
        return [zlib.crc32(f"{seed} {name}".encode()) for name in names]


def parse(text: str) -> Cut:
    """Return the cut that str() wrote so.

    :raises OtafleetError: when it is none
    """
    first, plus, second = text.partition("+")
    if first.isdecimal() and int(first) and (not plus or (second.isdecimal() and int(second))):
        return Cut(int(first), int(second or 0))
    raise OtafleetError(f"{text!r} is no cut: write 37, or 37+5 for one with a second", exits.USAGE)


def spread(operations: int, sample: int, seed: int) -> list[Cut]:
    """Return a cut at every operation; with a `sample` below that, one in each of so many equal parts.

    :param sample: 0 takes them all
    :param seed: chooses within each part
    """
    if not 0 < sample < operations:
        return [Cut(number) for number in range(1, operations + 1)]
    dice = random.Random(seed)  # noqa: S311 - chooses what is tested, guards nothing
    edges = [operations * part // sample for part in range(sample + 1)]
    return [Cut(dice.randint(low + 1, high)) for low, high in pairwise(edges)]


def again(cut: Cut, operations: int, seed: int) -> Sequence[Cut]:
    """Return cuts that come again, somewhere in the `operations` of the recovery from `cut`; none if it had none."""
    if not operations:
        return ()
    dice = random.Random(f"{seed} {cut}")  # noqa: S311 - as above
    return (Cut(cut.operation, dice.randint(1, operations)),)
