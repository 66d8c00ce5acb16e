"""Exit codes of every `otafleet` command: scripts rely on them, so a number never changes its meaning."""

from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
REJECTED: Final = 3
ROLLED_BACK: Final = 4
TIMED_OUT: Final = 5
NO_BROKER: Final = 6
HALTED: Final = 7
