"""The standard streams, made so that they never end a command by themselves."""

import io
import os
import sys


def tolerate() -> None:
    """Let a terminal that cannot show a character show a question mark instead of raising UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def drop() -> None:
    """Send whatever goes to stdout nowhere: its reader has left, and even the flush at exit would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
