"""Sets a board up: looks, plans, writes, reads back."""

from dataclasses import dataclass
from typing import Any

from broker_tools.errors import OtafleetError
from broker_tools.events import Event, Listener
from broker_tools.flash import plan as plans
from broker_tools.flash import survey as surveys
from broker_tools.flash import table
from broker_tools.flash.esptool import Esptool
from broker_tools.flash.files import Wishes
from broker_tools.flash.firmware import Firmware
from broker_tools.flash.plan import Plan, Region
from broker_tools.flash.survey import Survey
from broker_tools.text import size_text


@dataclass(frozen=True, slots=True)
class Job:
    """What to do with which board."""

    firmware: Firmware
    wishes: Wishes
    erase_files: bool = False
    dry_run: bool = False


def run(board: Esptool, job: Job, say: Listener) -> None:
    """Do it. Nothing is erased before everything that can be known to be wrong has been looked at.

    :raises OtafleetError: when something is wrong, or the board does not hold what was written
    """
    survey = surveys.look(board)
    try:
        _announce(survey, job.firmware, say)
        plan = _plan(board, job, survey, say)
        _show(plan, say)
    except OtafleetError:
        _let_go(board)
        raise
    if job.dry_run:
        board.restart()
        say(Event("dry_run", "nothing was written"))
        return
    try:
        _write(board, plan, say)
    except KeyboardInterrupt:
        raise OtafleetError(_half("stopped")) from None
    except OtafleetError as error:
        raise OtafleetError(_half(error.message)) from None
    board.restart()
    device = plan.config["id"]
    say(
        Event(
            "done",
            f"{device} is set up and runs; otafleet monitor shows it when it is online",
            {"device": device},
        )
    )


def _plan(board: Esptool, job: Job, survey: Survey, say: Listener) -> Plan:
    rows = plans.layout(job.firmware, survey, erase_files=job.erase_files)
    kept = None
    if plans.keeps(survey, rows, erase_files=job.erase_files):
        place = table.row(rows, "vfs")
        say(Event("reading", f"reading its files, {size_text(place.size)} at {place.address:#x}"))
        kept = board.read(place.address, place.size)
    return plans.make(job.firmware, survey, rows, job.wishes, kept)


def _announce(survey: Survey, firmware: Firmware, say: Listener) -> None:
    board, app = survey.identity, firmware.app
    fields: dict[str, Any] = {"chip": board.chip, "flash": board.flash_size, "mac": board.mac}
    flash = f"{board.flash_size >> 20} MB"
    say(Event("board", f"board:    {board.description}, {flash} flash, {board.mac}", fields))
    fields = {"file": firmware.source, "micropython": firmware.micropython, "size": len(app.data)}
    name = f"MicroPython {firmware.micropython} for {firmware.chip}"
    text = f"firmware: {name}, {size_text(len(app.data))}, sha256 {app.sha256}"
    say(Event("firmware", text, {**fields, "sha256": app.sha256, "agent": firmware.has_agent}))


def _show(plan: Plan, say: Listener) -> None:
    regions = [*plan.regions, *([plan.last] if plan.last else [])]
    for region in sorted(regions, key=lambda region: region.whole.address):
        say(_line(region))
    for path in plan.changed:
        size = len(plan.files.contents[path])
        say(Event("file", f"  /{path}, {size_text(size)}", {"path": "/" + path, "size": size}))
    for note in plan.files.notes:
        say(Event("note", note, {"note": note}))


def _line(region: Region) -> Event:
    size = len(region.whole.data)
    note = f" ({region.note})" if region.note else ""
    text = f"{region.whole.address:#08x} {size:>9,} bytes  {region.name}{note}, sha256 {region.sha256}"
    fields = {"name": region.name, "address": region.whole.address, "size": size, "sha256": region.sha256}
    return Event("region", text, {**fields, "note": region.note})


def _write(board: Esptool, plan: Plan, say: Listener) -> None:
    fresh = [region for region in plan.regions if region.erase]
    # esptool knows more reasons to refuse an image than we do: it has to see them all before anything is erased.
    _put(board, [region for region in plan.regions if not region.erase], say)
    if fresh:
        for region in fresh:
            board.erase(region.whole.address, len(region.whole.data))
        _put(board, fresh, say)
    if plan.last is not None:
        # A set-up that is interrupted before this is begun anew: the board still looks as if it had never been one.
        _put(board, [plan.last], say)


def _put(board: Esptool, regions: list[Region], say: Listener) -> None:
    parts = [part for region in regions for part in region.parts]
    names = ", ".join(region.name for region in regions)
    total = sum(len(part.data) for part in parts)
    fields: dict[str, Any] = {"names": [region.name for region in regions], "bytes": total}
    say(Event("writing", f"writing {names}: {size_text(total)}", fields))
    if parts:
        board.write(parts)
    board.verify([region.whole for region in regions])
    say(Event("verified", f"read back and compared: {names}", fields))


def _let_go(board: Esptool) -> None:
    """Restart a board that is refused. What was wrong with it is worth more than whether that worked."""
    try:
        board.restart()
    except OtafleetError:
        return


def _half(reason: str) -> str:
    return f"{reason}; the board is half written: run the same command again before you use it"
