"""`otafleet twin powercut`: cut the power of twins everywhere, and see that none is lost."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import rich_click as click

from broker_tools import exits
from broker_tools.commands import options
from broker_tools.errors import OtafleetError
from broker_tools.powercut import sweep
from broker_tools.powercut.bench import Bench
from broker_tools.powercut.cuts import Cut, parse, spread
from broker_tools.powercut.show import Show
from broker_tools.powercut.sweep import Result
from broker_tools.stopping import Stopping


def _cuts(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[Cut, ...]:
    return tuple(parse(value) for value in values)


@click.command()
@click.option(
    "--sample",
    type=click.IntRange(1),
    metavar="N",
    default=None,
    help="Cut at N operations, spread over all of them; default: at each one.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Chooses the sample and the damage."
)
@click.option(
    "--recovery", is_flag=True, help="After each cut, one more run with a second cut in the recovery."
)
@click.option(
    "--at",
    "chosen",
    multiple=True,
    callback=_cuts,
    metavar="CUT",
    help="Only this cut (repeatable), as a sweep names it: 37, or 37+5. Shows the twin's console.",
)
@options.json_lines
@click.pass_context
def command(
    ctx: click.Context,
    sample: int | None,
    seed: int,
    recovery: bool,
    chosen: tuple[Cut, ...],
    as_json: bool,
) -> None:
    """Cut a twin's power in the middle of each flash operation of an update, and see that no device is lost.

    It makes its own images, broker and twins. Every run must end on the new image, confirmed as VALID, or on the
    old one with the reason reported. Exit code 1 when a device was lost, or a cut cost more than promised.
    """
    began = time.monotonic()
    results: list[Result] = []
    with (
        Stopping() as stopping,
        tempfile.TemporaryDirectory(prefix="otafleet-") as folder,
        Bench(Path(folder), stopping) as bench,
    ):
        try:
            bench.rehearse()
            cuts = chosen or spread(bench.operations, sample or 0, seed)
            with Show(as_json) as show:
                show.plan([len(update.steps) for update in bench.updates], len(cuts) * (1 + recovery))
                made = (
                    _each(bench, chosen, seed, show)
                    if chosen
                    else sweep.sweep(bench, cuts, seed, recovery=recovery, stop=stopping)
                )
                for result in made:
                    results.append(result)
                    show.result(result)
        except OtafleetError:
            if not stopping():
                raise
    if results:
        show.summary(results, time.monotonic() - began)
    if stopping():
        raise OtafleetError("interrupted")
    ctx.exit(exits.OK if all(result.right for result in results) else exits.FAILED)


def _each(bench: Bench, cuts: tuple[Cut, ...], seed: int, show: Show) -> Iterator[Result]:
    for cut in cuts:
        yield sweep.make(bench, cut, seed, show.console)
