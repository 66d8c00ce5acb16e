"""`otafleet demo`: three updates of a twin, one that works and two that roll back."""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import rich_click as click

from agent.protocol.host.topics import check_prefix
from broker_tools import broker_url, exits
from broker_tools import demo as demonstration
from broker_tools.commands import options
from broker_tools.display import Display
from broker_tools.errors import OtafleetError, os_reason
from broker_tools.events import Event
from broker_tools.stopping import Stopping


@click.command()
@click.option(
    "--broker", help="Use this broker, mqtt://[user@]host[:port]; default: the embedded one, on a free port."
)
@click.option(
    "--prefix",
    callback=options.checked(check_prefix),
    default="fleet",
    show_default=True,
    help="First part of every topic.",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the home and the twin in this new folder; default: a temporary one.",
)
@options.json_lines
@click.pass_context
def command(ctx: click.Context, broker: str | None, prefix: str, folder: Path | None, as_json: bool) -> None:
    """Show three updates of a digital twin: one that works, and two that roll back by themselves.

    It needs no board and no broker. Exit code 0 only when all three ended as they must.
    """
    url = broker_url.parse(broker) if broker else None
    if url and url.tls:
        raise OtafleetError("a twin connects without TLS: name an mqtt:// broker", exits.USAGE)
    began = time.monotonic()
    with ExitStack() as stack:
        stopping = stack.enter_context(Stopping())
        place = (
            _new(folder)
            if folder
            else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otafleet-")))
        )
        ended = demonstration.play(place, url, prefix, lambda: Display(as_json), stopping)
    if stopping():
        raise OtafleetError("interrupted", exits.FAILED)
    right = len(ended) == len(demonstration.ACTS) and all(result.right for result in ended)
    with Display(as_json) as display:
        if folder:
            display(
                Event("note", f"kept in {folder}: home/ (OTAFLEET_HOME) and twin/ (otafleet twin run --dir)")
            )
        display(Event("summary", demonstration.summary(ended, time.monotonic() - began), {"right": right}))
    ctx.exit(exits.OK if right else exits.FAILED)


def _new(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OtafleetError(f"{folder} is not empty: name a new folder", exits.USAGE)
    except OSError as error:
        raise OtafleetError(f"cannot make {folder}: {os_reason(error)}") from None
    return folder
