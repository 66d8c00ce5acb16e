"""One update through a bad network, measured: what was fetched, and what the flash went through."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.protocol.limits import CHUNK, WINDOW_MAX
from tests.support.program import Program
from tests.support.proxy import Proxy
from tests.support.proxy_faults import chunk, leaf
from tests.support.twin_device import TwinDevice

SLOTS = ("ota_0", "ota_1")


def wait_until_known(network: Proxy) -> None:
    """Wait until the device has said what it is: a publisher offers nothing to a stranger."""
    network.crossed.expect(lambda crossing: leaf(crossing) == "state", 60)


class Update:
    """A publisher at work on one twin; use it as a context manager to have it running.

    What it measures counts from the moment it was made.
    """

    def __init__(self, start: Callable[[], Program], twin: TwinDevice, network: Proxy, file: Path) -> None:
        self.twin = twin
        self.network = network
        self.chunks = -(-file.stat().st_size // CHUNK)
        self._start = start
        self._mark = network.crossed.mark()
        self._before = self._erases()

    def _erases(self) -> list[int]:
        return [count.erases for slot in SLOTS for count in self.twin.counts(slot)]

    @property
    def fetched(self) -> int:
        """Chunks that the broker has sent to the device."""
        return sum(chunk(crossing) for crossing in self.network.crossed.items[self._mark :])

    @property
    def erases(self) -> list[int]:
        """Erases of each sector that was erased at all."""
        counts = zip(self._erases(), self._before, strict=True)
        return [after - before for after, before in counts if after != before]

    @property
    def extra(self) -> int:
        """Chunks that were fetched more than once."""
        return self.fetched - self.chunks

    def ends(self, timeout: float = 100) -> None:
        """Require that it ends with the new image confirmed, and every sector erased once."""
        assert self.publisher.wait(timeout) == 0, self.publisher.output
        assert "confirmed VALID" in self.publisher.output
        assert self.erases == [1] * self.chunks

    def succeeds(self, *, faults: int, timeout: float = 100) -> None:
        """Require that it ends well although the network was bad so often, each time at one window at most."""
        self.ends(timeout)
        assert self.extra <= faults * WINDOW_MAX, f"{self.extra} chunks fetched again for {faults} faults"

    def __enter__(self) -> Self:
        wait_until_known(self.network)
        self.publisher = self._start().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.publisher.__exit__(kind, error, trace)
