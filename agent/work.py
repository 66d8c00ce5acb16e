"""The work of each phase, as generators over the agent. One that yields True waits for something to arrive.

What fails ends the update with a reason; the flash is never left such that the running image could not boot again.
"""

from binascii import unhexlify
from machine import DEEPSLEEP_RESET, PWRON_RESET, SOFT_RESET, reset, reset_cause
from time import ticks_diff, ticks_ms

from . import transitions as on
from .app import answer, wait_ms
from .heap import EXAMINING, FETCHING, unload
from .journal import JournalError
from .protocol import index, reasons
from .protocol.errors import ProtocolError
from .protocol.limits import BOOTS_MAX, TIME_MAX
from .protocol.phases import COMMITTED, DEFERRED, TESTING

_FAREWELL_MS = 3_000  # for the broker to acknowledge what was said before a reboot


def wake_up(agent):
    """After a reset: what do the slots hold, and how did it leave the update? The trial's time runs from this call."""
    return _wake_up(agent, ticks_ms())


def _wake_up(agent, began):
    device = agent.device
    for slot in (device.running, device.target):
        try:
            if slot:
                yield from slot.survey()
        except OSError:
            slot.forget()  # told by the first update that needs it
    unload(EXAMINING)
    if agent.journal.lost:
        _distrust(agent)
    agent.changed = True
    phase = agent.phase
    if phase in COMMITTED:
        if device.target.state() == "NEW" and reset_cause() in (SOFT_RESET, DEEPSLEEP_RESET):
            # Neither a soft reset nor waking up asks the boot loader, which has the new image still to start.
            yield from _reboot(agent)
        _settle(agent, began)
        if agent.trial:
            yield from _prove(agent)
    elif device.running.state() == "PENDING_VERIFY":
        # On trial, and the journal that would say for what is lost: it can't prove itself, and takes no update.
        _give_up()
    elif on.RESET in on.TRANSITIONS[phase]:
        agent.go(on.RESET)


def _distrust(agent):
    """The journal is unreadable, and an image has been given up: it may be what wrote the journal, again and again."""
    target = agent.device.target
    if target and target.sha256 and target.state() in ("INVALID", "ABORTED"):
        agent.journal.quarantine(target.sha256, TIME_MAX, 0, 0)


def _give_up():
    from .esp32_ota import Partition

    try:
        Partition.mark_app_invalid_rollback_and_reboot()
    except OSError:
        pass  # no other image can boot: this one is all there is


def _settle(agent, began):
    """A committed update: did the new image boot, was it given up, or had the boot loader not been told yet?"""
    device = agent.device
    entry = agent.entry
    tries = entry["boots"] + 1
    if device.running.label == entry["slot"]:
        try:
            agent.go(on.NEW_BOOTED, boots=tries)
        except JournalError:
            if device.running.state() != "VALID":
                _give_up()  # its boots could not be counted, and the other image has something to tell
        from .trial import Trial

        agent.trial = Trial(
            agent.entry, device, lambda: answer(False, agent.app.selftest), agent.heard, began
        )
        return
    if entry["phase"] != TESTING and device.target.state() == "UNDEFINED" and tries <= BOOTS_MAX:
        # otadata has no record of the new image: the power went before set_boot, or tore the record.
        agent.go(on.RESET, boots=tries)
        return
    reached = entry["phase"] == TESTING
    reason = entry["reason"] or (reasons.RESET_IN_TEST if reached else reasons.NEVER_STARTED)
    # An image that found no broker, or whose boot a power cut ended, is only given up the third time.
    excused = reason == reasons.UNREACHABLE or (not entry["reason"] and reset_cause() == PWRON_RESET)
    digest = unhexlify(entry["sha256"])
    before = agent.journal.quarantined(digest)
    crashed = before and before[0] == entry["sequence"] and not before[2]
    strikes = 1 + (before[2] if before else 0) if excused and not crashed else 0
    agent.journal.quarantine(digest, entry["sequence"], entry["attempt"], strikes)
    agent.end(on.OLD_BOOTED, reason)


def _prove(agent):
    """The trial of a new image, to its end."""
    trial = agent.trial
    try:
        manifest = yield from trial.run()
        trial.confirm()
    except ProtocolError as error:
        revert(agent, error.reason)
    except OSError:
        revert(agent, reasons.FLASH_ERROR)
    else:
        agent.journal.raise_floor(manifest["floor"])
        agent.end(on.PASS)


def revert(agent, reason):
    """Give the running image up: store why, then reboot into the other one."""
    agent.entry["reason"] = reason
    try:
        agent.journal.write(agent.entry)
    except JournalError:
        pass  # the other image will only be able to say that this one was reset
    agent.link.close()
    try:
        agent.trial.revert()
    except OSError:  # no other image can boot: this one is all there is
        agent.end(on.FAIL, reason)


def update(agent):
    """One offer, from its examination to the reboot."""
    try:
        yield from _update(agent)
        return
    except ProtocolError as error:
        reason = error.reason
    except MemoryError:
        reason = reasons.NO_MEMORY
    except (OSError, JournalError):
        reason = reasons.FLASH_ERROR
    if on.FAIL in on.TRANSITIONS[agent.phase]:  # not where it had ended, and only the telling went wrong
        agent.end(on.FAIL, reason)


def _update(agent):
    device = agent.device
    offer = agent.intake.offer
    try:
        from .examine import examined

        manifest = yield from examined(offer, device)
        del examined
        unload(EXAMINING)
        if answer(False, agent.app.veto, manifest):
            raise ProtocolError(reasons.VETOED_BY_APP, "by the app")
    except ProtocolError as error:
        agent.end(on.REFUSE, error.reason)
        return
    component = manifest["component"]
    if device.running.state() == "VALID":
        held = yield from device.running.holds(component)
        if held:
            agent.journal.raise_floor(manifest["floor"])
            agent.end(on.HELD, reasons.ALREADY_RUNNING)
            return
    while offer["start"] != "now":
        yield True
    yield from _yield_to(agent, manifest)
    agent.go(on.ACCEPT)
    answer(None, agent.app.prepare)
    yield from _fill(agent, manifest)
    yield from _activate(agent, manifest)


def _yield_to(agent, manifest):
    """Generator: wait as long as the app asks for."""
    while True:
        wait = wait_ms(agent.app.defer, manifest)
        if not wait:
            return
        if agent.phase != DEFERRED:
            agent.go(on.DEFER, reasons.DEFERRED_BY_APP)
        began = ticks_ms()
        while ticks_diff(ticks_ms(), began) < wait:
            yield True


def _fill(agent, manifest):
    """Bring the target slot to the signed digest; one repair is allowed."""
    component = manifest["component"]
    target = agent.device.target
    saved = index.chunks(component["size"])
    for repaired in (False, True):
        held = yield from target.holds(component)
        if not held:
            unload(EXAMINING)
            from .download import Download
            from .sources import opened

            download = Download(
                manifest,
                target,
                agent.page,
                opened(agent, manifest),
                agent.may_ask,
                agent.lend() if manifest["encoding"] == "deflate" else None,
            )
            yield from agent.fetch(download)
            yield  # the last chunk has just been written: the journal gets a step of its own
            saved = min(saved, download.found)
        agent.go(on.COMPLETE, saved=saved)
        held = yield from target.holds(component)
        if held:
            break
        if repaired:
            raise ProtocolError(reasons.DIGEST_MISMATCH, "after a repair")
        agent.go(on.REPAIR)
    target.sha256 = unhexlify(component["sha256"])
    target.size = component["size"]
    target.version = manifest["version"]


def _activate(agent, manifest):
    """Tell the boot loader, then reset. The manifest is stored first: the new image has to verify it again."""
    target = agent.device.target
    component = manifest["component"]
    agent.download = None
    unload(FETCHING)  # the entry that the journal is about to get is the longest of all
    try:
        yield from target.seal(component["size"])
    except OSError:
        raise ProtocolError(reasons.BAD_IMAGE, "the slot holds no image that boots")
    while not agent.may_take("set_boot"):
        yield True
    boots = agent.entry.get("boots", 0)  # above 0 when a power cut had come between here and the first boot
    agent.go(
        on.MATCH,
        slot=target.label,
        sha256=component["sha256"],
        sequence=manifest["sequence"],
        manifest=agent.intake.offer["manifest"],
        boots=boots,
    )
    # The guard in boot.py gives the agent the time to say why before it resets the chip without a word.
    agent.journal.guard(manifest["confirm_s"] * 1100 + 1000)
    try:
        target.partition.set_boot()
    except OSError:
        raise ProtocolError(reasons.SET_BOOT_FAILED, "the boot loader would not take the image")
    try:
        agent.go(on.BOOT_SET)
    except JournalError:
        pass  # the boot loader has been told, and the journal as it is leads to the same
    yield from _reboot(agent)


def _reboot(agent):
    """Generator: reset the chip once the broker knows and the app agrees."""
    began = ticks_ms()
    while agent.link.up and not agent.link.settled() and ticks_diff(ticks_ms(), began) < _FAREWELL_MS:
        yield True
    while not agent.may_take("reboot"):
        yield True
    agent.link.close()
    reset()
