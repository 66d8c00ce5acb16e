"""All the cuts, a few at a time, and the count of how they ended."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from broker_tools.powercut import promises
from broker_tools.powercut.bench import Bench
from broker_tools.powercut.cuts import Cut, again
from broker_tools.powercut.replay import Run

LANES = 2
"""Twins that run at a time: each keeps about one processor busy."""
TRIES = 3
"""Runs until a cut is missed: without it, a device that is done before the operation comes would not be tested."""
MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Result:
    """How one run ended.

    device -- what the device was before the update: new or updated
    phase -- of the update, when the power went first
    torn -- the operations in which it went
    end -- promises.NEW, OLD or LOST, or MISSED: it did not come to the operation
    broken -- the promises by which the device counts as lost
    exceeded -- costs above what was promised
    recovery -- operations after the first cut
    """

    cut: Cut
    seed: int
    device: str
    phase: str
    torn: Sequence[str]
    end: str
    reason: str
    boots: int
    extra_chunks: int
    extra_erases: int
    broken: Sequence[str]
    exceeded: Sequence[str]
    recovery: int
    seconds: float

    @property
    def right(self) -> bool:
        """Whether every promise was kept."""
        return self.end in (promises.NEW, promises.OLD) and not self.exceeded

    @property
    def again(self) -> str:
        """The command that does the same once more."""
        return f"otafleet twin powercut --at {self.cut} --seed {self.seed}"

    def fields(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "at": str(self.cut),
            "seed": self.seed,
            "device": self.device,
            "phase": self.phase,
            "torn": list(self.torn),
            "end": self.end,
            "reason": self.reason,
            "boots": self.boots,
            "extra_chunks": self.extra_chunks,
            "extra_erases": self.extra_erases,
            "broken": list(self.broken),
            "exceeded": list(self.exceeded),
            "seconds": round(self.seconds, 2),
        }


def sweep(
    bench: Bench, cuts: Iterable[Cut], seed: int, *, recovery: bool, stop: Callable[[], bool]
) -> Iterator[Result]:
    """Make the cuts, and yield how each ended, in the order in which they do; fewer once `stop` says so.

    :param recovery: after each, one more run in which the power goes again while the device recovers
    :raises OtafleetError: when the disk or the broker refuses
    """

    def chain(cut: Cut) -> list[Result]:
        results = [] if stop() else [make(bench, cut, seed)]
        for result in results[:1] if recovery else []:
            results += [make(bench, each, seed) for each in again(cut, result.recovery, seed) if not stop()]
        return [] if stop() else results

    with ThreadPoolExecutor(LANES) as pool:
        chains = [pool.submit(chain, cut) for cut in cuts]
        try:
            for done in as_completed(chains):
                yield from done.result()
        finally:
            for each in chains:
                each.cancel()


def make(bench: Bench, cut: Cut, seed: int, log: Callable[[str], None] | None = None) -> Result:
    """Make one cut; raises OtafleetError as `Bench.cut` does."""
    for _ in range(TRIES):
        began = time.monotonic()
        run = bench.cut(cut, seed, log)
        result = _result(bench, cut, seed, run, time.monotonic() - began)
        if result.end != MISSED:
            break
    return result


def _result(bench: Bench, cut: Cut, seed: int, run: Run, seconds: float) -> Result:
    facts = run.facts
    broken = tuple(promises.broken(facts))
    missed = len(run.torn) < facts.cuts and not broken
    return Result(
        cut=cut,
        seed=seed,
        device=bench.place(cut).name,
        phase=run.torn[0].phase if run.torn else "",
        torn=[str(step) for step in run.torn],
        end=MISSED if missed else promises.ended(facts),
        reason=facts.outcome.reason if facts.outcome else "",
        boots=facts.boots,
        extra_chunks=facts.extra_chunks,
        extra_erases=facts.extra_erases,
        broken=broken,
        exceeded=tuple(promises.exceeded(facts)),
        recovery=len(run.steps) - run.torn[0].operation.number if run.torn else 0,
        seconds=seconds,
    )


@dataclass(frozen=True, slots=True)
class Row:
    """The cuts of one phase: how many, how they ended, and the reasons that devices gave on the old image."""

    phase: str
    ends: Counter[str]
    reasons: Counter[str]


def rows(results: Iterable[Result]) -> list[Row]:
    """Return a row for each phase in the order of the update, cuts that came again apart."""
    table: dict[tuple[str, str], Row] = {}
    for result in sorted(results, key=lambda each: each.cut):
        name = f"{result.phase}, and again" if result.cut.second else result.phase
        row = table.setdefault((result.device, name), Row(f"{result.device}: {name}", Counter(), Counter()))
        row.ends[result.end] += 1
        if result.end == promises.OLD:
            row.reasons[result.reason] += 1
    return list(table.values())
