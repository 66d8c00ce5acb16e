"""Shows a running publication: a progress bar on a terminal, plain lines in a pipe, JSON lines for programs."""

import json
import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from agent.protocol import limits
from broker_tools import output
from broker_tools.events import Event
from broker_tools.text import clean

LINE_MAX = 400
"""Longest line shown, in characters."""
STEP_PERCENT = 10
"""In a pipe, progress makes a line this often."""


class Display:
    """Call it with each event; within its context a terminal has a bar.

    Output whose reader has left is dropped: the update goes on.
    """

    def __init__(self, as_json: bool, console: Console | None = None) -> None:
        """Choose the form; without --json a terminal gets a bar."""
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._json = as_json
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._percent = 0
        self._gone = False

    def __enter__(self) -> Self:
        """Start the bar, if there is to be one."""
        if not self._json and self._console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        if self._progress:
            self._progress.stop()
            self._progress = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self._gone:
            return
        try:
            self._show(event)
        except BrokenPipeError:
            self._gone = True
            output.drop()

    def _show(self, event: Event) -> None:
        if self._json:
            self._line(json.dumps({"event": event.kind, "time": round(time.time(), 3), **event.fields}))
        elif event.kind == "progress":
            self._advance(event.fields)
        elif self._progress:
            self._progress.console.print(Text(clean(event.text, LINE_MAX)))
        else:
            self._line(clean(event.text, LINE_MAX))

    def _advance(self, fields: Any) -> None:
        done, total = fields["done"], fields["total"]
        if self._progress:
            if self._task is None:
                self._task = self._progress.add_task("sending", total=total * limits.CHUNK)
            self._progress.update(self._task, completed=done * limits.CHUNK)
            return
        percent = 100 * done // total // STEP_PERCENT * STEP_PERCENT
        if percent > self._percent:
            self._percent = percent
            self._line(f"{percent} % ({done} of {total} chunks)")

    def _line(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
