"""How long an update takes a device, against what its flash alone takes: `python benchmarks/device.py`.

Every figure is a ratio within one run on a digital twin whose flash takes its time: from the moment an offer is
received until set_boot has returned, divided by the time that erasing and programming the image takes.
docs/performance.md says more. Exit code 1 when a bar is missed.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout needs no installation

from benchmarks.lab import ERASE_MS, PAGE_MS, RTT_MS, SECTOR, START_S, Lab, Running, firmware, flash_ms
from tests.support.watcher import Message, Watcher
from tests.support.web import WebServer

BAR = 1.10
"""Largest time of an update, in times of its flash alone."""
RHYTHM_BAR_MS = 200
"""Largest gap between two runs of an app's task that is due every 100 ms."""
SLOWEST = 4
"""A run that takes so many times the flash alone has failed."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One run."""

    what: str
    took_ms: int
    """From the offer to the return of set_boot."""
    flash_ms: float
    bar: float | None = None
    """None for what is only there to be compared with."""
    gap_ms: int | None = None
    """Largest gap in the rhythm of an app beside the agent, until set_boot begins."""
    set_boot_gap_ms: int | None = None
    """The same with set_boot, a long step that is announced."""

    @property
    def ratio(self) -> float:
        """The time of the update in times of its flash alone."""
        return self.took_ms / self.flash_ms

    @property
    def missed(self) -> bool:
        """Whether a bar is missed."""
        return (self.bar is not None and self.ratio > self.bar) or (self.gap_ms or 0) > RHYTHM_BAR_MS

    def line(self) -> str:
        """Say it in a line."""
        said = f"{self.what}: {self.took_ms} ms ÷ {self.flash_ms:.0f} ms = {self.ratio:.3f}"
        if self.bar is not None:
            said += f" (bar {self.bar:.2f})"
        if self.gap_ms is not None:
            said += f"; the app's 100 ms became {self.gap_ms} ms at most (bar {RHYTHM_BAR_MS})"
            said += f", {self.set_boot_gap_ms} ms with set_boot"
        return said + ("; MISSED" if self.missed else "")


class Bench:
    """The runs, each with a new twin and an empty broker."""

    def __init__(self, lab: Lab, sectors: int) -> None:
        self._lab = lab
        self._sectors = sectors
        self._flash_ms = flash_ms(sectors)
        self._limit_s = START_S + SLOWEST * self._flash_ms / 1000
        self._data = firmware(sectors)
        self._image = lab.folder / "app.bin"
        self._image.write_bytes(self._data)

    def delivery(self, name: str, encoding: str) -> Figure:
        """The agent, by this delivery."""
        with self._source(name) as source, self._lab.twin("timed.py", hosts=["localhost"]) as twin:
            took = self._update(twin, source, encoding)
        return Figure(f"otafleet, {name}, {encoding}", took, self._flash_ms, BAR)

    def rhythm(self) -> Figure:
        """The agent as a task of asyncio beside another."""
        with self._lab.twin("rhythm.py") as twin:
            took = self._update(twin, "direct", "raw")
            gaps = [int(twin.mark(phase, 1)[1]) for phase in ("activating", "rebooting")]
        return Figure("otafleet, direct, raw, beside an app in asyncio", took, self._flash_ms, BAR, *gaps)

    def push(self) -> Figure:
        """A script that takes what comes on one topic."""

        def send(watcher: Watcher) -> None:
            for at in range(0, len(self._data), SECTOR):
                watcher.publish("push", self._data[at : at + SECTOR], qos=0)
            watcher.publish("push", b"end", qos=0)

        return self._peer("ten lines of umqtt.simple, all pushed on one topic", "push.py", send)

    def ask(self) -> Figure:
        """One chunk per request."""

        def send(watcher: Watcher) -> None:
            watcher.publish("ask/begin", str(self._sectors), qos=0)
            for number in range(self._sectors):
                watcher.messages.expect(partial(_asks_for, number), self._limit_s)
                at = number * SECTOR
                watcher.publish("ask/chunk", self._data[at : at + SECTOR], qos=0)

        return self._peer("one chunk per request", "ask.py", send)

    def _peer(self, what: str, script: str, send: Callable[[Watcher], None]) -> Figure:
        broker = self._lab.broker
        names = {"HOST": broker.host, "PORT": broker.port}
        with self._lab.twin(script, names) as twin, Watcher(broker.url, "ask/want") as watcher:
            twin.mark("ready", START_S)
            send(watcher)
            took = twin.took(self._limit_s)
        return Figure(what, took, self._flash_ms)

    def _update(self, twin: Running, source: str, encoding: str) -> int:
        options = ("--delivery", source, "--encoding", encoding, "--timeout", str(int(self._limit_s)))
        with self._lab.publish(self._image, *options):
            return twin.took(self._limit_s)

    @contextmanager
    def _source(self, name: str) -> Iterator[str]:
        """What `--delivery` is told."""
        if name != "http":
            yield name
            return
        site = self._lab.folder / "site.bin"
        self._lab.otafleet.ok("image", "index", self._image, "-o", site)
        files = {f"/{path.name}": path.read_bytes() for path in (site, site.with_name("site.bin.index"))}
        with WebServer(files) as web:
            yield f"{web.url}/site.bin"


def _asks_for(number: int, message: Message) -> bool:
    return message.payload == b"%d" % number


def conditions(sectors: int) -> str:
    """Say what every figure depends on."""
    return (
        f"image of {sectors} sectors ({sectors * SECTOR} bytes); flash: {ERASE_MS} ms to erase {SECTOR} bytes, "
        f"{PAGE_MS} ms to program 256; round trip {RTT_MS} ms"
    )


def run(sectors: int, say: Callable[[str], object]) -> list[Figure]:
    """Make all runs."""
    figures = []
    with Lab() as lab:
        bench = Bench(lab, sectors)
        runs: list[Callable[[], Figure]] = [
            partial(bench.delivery, "direct", "raw"),
            partial(bench.delivery, "direct", "deflate"),
            partial(bench.delivery, "store", "raw"),
            partial(bench.delivery, "http", "raw"),
            bench.rhythm,
            bench.push,
            bench.ask,
        ]
        for number, each in enumerate(runs, 1):
            figures.append(each())
            say(f"{number}/{len(runs)} {figures[-1].line()}")
            lab.forget()
    return figures


def table(figures: list[Figure], sectors: int) -> str:
    """Return the figures as a table in Markdown."""
    rows = ["| | update ÷ flash | bar | largest gap of a 100 ms task |", "|---|---|---|---|"]
    for figure in figures:
        bar = f"{figure.bar:.2f}" if figure.bar else ""
        gap = (
            "" if figure.gap_ms is None else f"{figure.gap_ms} ms; {figure.set_boot_gap_ms} ms with set_boot"
        )
        rows.append(f"| {figure.what} | {figure.ratio:.3f} | {bar} | {gap} |")
    return "\n".join([*rows, "", f"{conditions(sectors)}."])


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--sectors", type=int, default=200, metavar="N", help="size of the image (default: 200)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures into FILE too")
    parser.add_argument("--table", action="store_true", help="print a table in Markdown; progress to stderr")
    options = parser.parse_args()
    out = sys.stderr if options.table else sys.stdout
    print(conditions(options.sectors), file=out, flush=True)
    figures = run(options.sectors, lambda line: print(line, file=out, flush=True))
    if options.table:
        print(table(figures, options.sectors))
    if options.json:
        rows = [{**asdict(figure), "ratio": figure.ratio, "missed": figure.missed} for figure in figures]
        conditions_of = {
            "sectors": options.sectors,
            "erase_ms": ERASE_MS,
            "page_ms": PAGE_MS,
            "rtt_ms": RTT_MS,
        }
        options.json.write_text(json.dumps({**conditions_of, "figures": rows}, indent=2) + "\n")
    return int(any(figure.missed for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
