"""What a sweep shows: a bar on a terminal, a line for every tenth in a pipe, JSON lines for programs; then a table."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import rich_click as click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from agent.protocol import limits
from broker_tools.powercut import promises
from broker_tools.powercut.sweep import MISSED, Result, Row, rows
from broker_tools.text import clean

LINE_MAX = 400
"""Longest line that is shown, in characters."""
STEP_PERCENT = 10
"""In a pipe, progress makes a line this often."""
TOO_DEAR = "too dear"
ENDS = (promises.NEW, promises.OLD, promises.LOST, MISSED)


class Show:
    """A context manager; within it a terminal has a bar."""

    def __init__(self, as_json: bool) -> None:
        """Choose the form."""
        self._json = as_json
        self._out = Console(highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._total = 0
        self._percent = 0
        self._ends: Counter[str] = Counter()

    def plan(self, operations: Sequence[int], total: int) -> None:
        """Say how many operations each good update has, and how many cuts there will be."""
        self._total = total
        parts = " + ".join(map(str, operations))
        text = f"{parts} flash and NVS operations in two good updates; cuts to be made: {total}"
        self._tell("plan", text, {"operations": list(operations), "cuts": total})
        if not self._json and self._out.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self._out,
                transient=True,
            )
            self._progress.start()
            self._task = self._progress.add_task("cutting", total=total)

    def console(self, line: str) -> None:
        """Show a line that the twin prints."""
        self._tell("console", line, {"text": line})

    def result(self, result: Result) -> None:
        """Count one cut, and show what is wrong with it at once."""
        self._ends[result.end] += 1
        if self._json:
            self._tell("cut", "", result.fields())
            return
        if not result.right:
            kind = TOO_DEAR if result.exceeded and not result.broken else result.end
            why = "; ".join([*result.broken, *result.exceeded]) or "the update ended before this operation"
            at = f"{result.cut} ({', '.join(result.torn) or 'not reached'}; {result.phase or 'no phase'})"
            self._tell("cut", f"{kind.upper()} at {at}: {why}. To see it: {result.again}", {})
        self._advance()

    def summary(self, results: Sequence[Result], seconds: float) -> None:
        """Show the table and the sum."""
        if not self._json:
            self._out.print(_table(rows(results)))
        self._tell("summary", _sum(results, seconds), _fields(results, seconds))

    def _advance(self) -> None:
        done = self._ends.total()
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self._ends.items()))
        if self._progress:
            self._progress.update(self._task, completed=done, description=f"cutting: {ends}")
            return
        percent = 100 * done // self._total // STEP_PERCENT * STEP_PERCENT
        if percent > self._percent:
            self._percent = percent
            self._tell("progress", f"{percent} % ({done} of {self._total} cuts: {ends})", {})

    def _tell(self, kind: str, text: str, fields: Mapping[str, Any]) -> None:
        if self._json:
            click.echo(json.dumps({"event": kind, **fields}))
        elif self._progress:
            self._progress.console.print(clean(text, LINE_MAX), markup=False)
        else:
            click.echo(clean(text, LINE_MAX))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None


def _table(found: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("device: phase", no_wrap=True)
    for name in ("cuts", *ENDS):
        table.add_column(name, justify="right")
    table.add_column("reasons told", no_wrap=True)
    for row in found:
        ends = [row.ends.total(), *(row.ends[end] for end in ENDS)]
        why = ", ".join(f"{reason} {count}" for reason, count in sorted(row.reasons.items()))
        table.add_row(row.phase, *map(str, ends), why)
    return table


def _fields(results: Sequence[Result], seconds: float) -> dict[str, Any]:
    ends = Counter(result.end for result in results)
    return {
        "cuts": len(results),
        **{end: ends[end] for end in ENDS},
        "exceeded": sum(bool(result.exceeded) for result in results),
        "extra_chunks": max((result.extra_chunks for result in results if not result.cut.second), default=0),
        "extra_erases": max((result.extra_erases for result in results if not result.cut.second), default=0),
        "boots": max((result.boots for result in results), default=0),
        "phases": [{"phase": row.phase, "ends": row.ends, "reasons": row.reasons} for row in rows(results)],
        "seconds": round(seconds, 1),
    }


def _sum(results: Sequence[Result], seconds: float) -> str:
    found = _fields(results, seconds)
    missed = f", missed: {found[MISSED]}" if found[MISSED] else ""
    dear = f", too dear: {found['exceeded']}" if found["exceeded"] else ""
    return (
        f"powercut: {found['cuts']} cuts, devices lost: {found[promises.LOST]}{missed}{dear}; "
        f"{found[promises.NEW]} ended on the new image, {found[promises.OLD]} on the old one with a reason; one cut "
        f"cost at most {found['extra_chunks']} chunks ({limits.WINDOW_MAX} allowed) and {found['extra_erases']} "
        f"erases (1 allowed, of a torn sector); {seconds:.0f} s"
    )
