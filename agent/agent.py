"""The agent: one device, its broker, and the update it is working on. `step()` does one small slice of everything.

Theory of operation. The agent holds one journal entry (which offer, which phase, why) and moves it only through
`go()`, which asks the table, stores the entry, and then tells the host. The work of a phase is a generator of work.py
that step() advances by one slice: a few point operations of a signature, one sector read, hashed or written.
Messages are taken one per step, so the longest step is one sector's erase and write. The named exceptions are what
MicroPython can't cut: opening a connection, and set_boot, which verifies the whole image. The app is asked before.
"""

import gc

_threshold = gc.threshold()
gc.threshold(2048)  # while compiling, collect often: what stays then lies packed at one end of a small heap

from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

from . import reports, transitions as on, work
from .app import App, answer, wait_ms
from .backoff import Backoff, jitter
from .device import Device
from .heap import EXAMINING, FETCHING, PROVING, unload
from .intake import Intake
from .journal import ENTRY_MAX, Journal, JournalError
from .link import Link
from .protocol import limits, message, reasons, topics
from .protocol.errors import ProtocolError
from .protocol.phases import COMMITTED, DOWNLOADING, IDLE, STALLED
from .packets import PACKET_MAX
from .wifi import Wifi

gc.threshold(_threshold)

_NOTHING = {"phase": IDLE, "n": 0, "rollout": "", "attempt": 0, "reason": "", "events": []}
_TRIAL_FIELDS = (
    "slot",
    "sha256",
    "sequence",
    "manifest",
    "boots",
)  # of the entry, while an update is committed
_DOZE_MS = 50
_ALIVE_MS = 30_000  # a connection that has been silent for longer is given up by the link
_WATCHDOG_MIN_S = 60  # twice that


class Agent:
    """One device's agent.

    `config` is a Config (device.json by default; raises ConfigError when that is wrong). `app` has the hooks of
    app.App. With `watchdog_s`, at least 60, machine.WDT resets the chip when for so long no round trip through the
    broker has been seen, nor an image been on trial; it can't be stopped any more.
    """

    def __init__(self, config=None, app=None, watchdog_s=0):
        self.config = config = config or _config()
        self.app = app or App()
        buffer = bytearray(PACKET_MAX)  # the largest thing that is ever held at once
        self.page = bytearray(limits.INDEX_PAGE * limits.INDEX_ENTRY)  # of the index, for the download
        self._spare = None
        self.journal = Journal()
        self.entry = self.journal.read(bytearray(ENTRY_MAX)) or dict(_NOTHING)
        if self.journal.lost:
            self.entry["reason"] = reasons.STATE_LOST
        self.device = Device(config, self.journal)
        self.link = Link(buffer, config.id, config.host, config.port, config.user, config.password)
        self.intake = Intake(self)
        self.download = None
        self.trial = None
        self._wifi = Wifi(config.wifi)
        self._dog = _watchdog(watchdog_s) if watchdog_s else None
        self._reconnect = Backoff(limits.BACKOFF_S * 1000, limits.BACKOFF_MAX_S * 1000)
        self._connect_due = self._connected_at = self._told_at = ticks_ms()
        self._held = {}  # by the app: long step -> (since when, for how many ms)
        self._k = 0  # acks told since boot
        self._w = self.journal.boots << 16  # wants sent, so that they grow over resets
        self._echoed = False  # whether our own state has come back in this boot
        self._heartbeat = 0
        self._echo_asked = False
        self._told = 0  # chunks done when progress was last told
        self.changed = True  # whether the state has changed since it was told
        self.booting = True  # the slots are not surveyed yet
        self._work = work.wake_up(self)

    @property
    def phase(self):
        return self.entry["phase"]

    def step(self):
        """One slice: at most one message, one sector or a few point operations, and what has to be said of it.

        Returns whether there is more to do at once.
        """
        busy = False
        try:
            if self.link.up:
                busy = self._listen()
            else:
                self._connect()
            busy = self._advance() or busy
            if self.link.up:
                self._tell()
        except OSError:  # only the link's: what touches the flash turns its errors into reasons
            self._hang_up()
        except MemoryError:
            if self.booting:
                raise  # what the slots hold is not known yet: begin again
            self._hang_up()  # what waited to be sent is let go, and said again on the next connection
        if self._dog and (self.trial or (self.link.up and self.link.idle_ms() < _ALIVE_MS)):
            self._dog.feed()
        return busy

    def run(self):
        """Step for ever, asleep while there is nothing to do."""
        while True:
            if not self.step():
                if self.link.up:
                    self.link.wait(_DOZE_MS)
                else:
                    sleep_ms(_DOZE_MS)

    async def serve(self):
        """`run()` as a task of asyncio."""
        from asyncio import sleep_ms as pause

        while True:
            await pause(0 if self.step() else _DOZE_MS)

    # For the work

    def go(self, event, reason="", **fields):
        """Follow the table, store the entry, queue the ack.

        Raises JournalError when the entry of a committed update can't be stored; others live without.
        """
        entry = dict(self.entry)
        entry.update(fields)
        entry["phase"] = on.after(entry["phase"], event)
        entry["reason"] = reason
        said = entry["phase"] + (":" + reason if reason else "")
        entry["events"] = (entry["events"] + [said])[-limits.EVENTS_MAX :]
        try:
            self.journal.write(entry)
        except JournalError:
            if entry["phase"] in COMMITTED:
                raise
        self.entry = entry
        self._k += 1
        self.link.publish(self._topic("ack"), reports.ack(self.device, entry, self._k), 1)
        self.changed = True
        answer(None, self.app.status, entry["phase"], reason)

    def begin(self, doing):
        """Work on this generator from the next step on."""
        self._work = doing

    def end(self, event, reason="", **fields):
        """`go()`, and the update is over: what it held is let go."""
        self._work = self.intake.offer = self.trial = None
        self.booting = False
        if self.download:
            self.download.end()
            self.download = None
        for field in _TRIAL_FIELDS:
            self.entry.pop(field, None)
        self.go(event, reason, **fields)
        unload(EXAMINING + FETCHING + PROVING)

    def fetch(self, download):
        """Generator: run `download` over the link."""
        self.download = download
        self._told = 0
        yield from download.run()
        download.end()

    def heard(self):
        """Whether this boot has heard its broker: an offer has arrived, or our own state has come back."""
        return self.intake.heard or self._echoed

    def may_ask(self):
        """Nothing is asked for on a connection that has not delivered the offer: it may have been withdrawn."""
        return self.link.up and self.intake.named

    def may_take(self, step):
        """Whether the app lets this long step happen now. Each has a wait of its own: one does not hold the others."""
        now = ticks_ms()
        since, wait = self._held.get(step, (now, 0))
        # A wait that was left behind with its update may lie further back than ticks can tell: that is negative.
        if 0 <= ticks_diff(now, since) < wait:
            return False
        wait = wait_ms(self.app.before, step)
        self._held[step] = now, wait
        return not wait

    def lend(self):
        """A buffer as long as a chunk, for the deliveries that need one; taken from the heap once."""
        if not self._spare:
            self._spare = bytearray(limits.CHUNK)
        return self._spare

    def next_w(self):
        """The number of the next want."""
        self._w += 1
        return self._w

    # The connection

    def _topic(self, leaf):
        return topics.topic(self.config.prefix, self.config.id, leaf)

    def _connect(self):
        now = ticks_ms()
        if ticks_diff(now, self._connect_due) < 0:
            return
        if not self._wifi.ready() or not self.may_take("connect"):
            self._connect_due = now  # ticks_diff() can't tell times apart that lie more than six days apart
            return
        boot, conn = self.journal.boots, self.link.conn + 1
        self.link.open(self._topic("online"), reports.online(boot, conn, False))
        self._connected_at = ticks_ms()
        self._echo_asked = False
        self.link.subscribe([self._topic("desired")])
        if self.download:
            self.download.reopen()
        self.link.publish(self._topic("online"), reports.online(boot, conn, True), 1, True)
        self.changed = True

    def _hang_up(self):
        self.link.close()
        self.intake.hung_up()
        self._connect_due = ticks_add(ticks_ms(), self._reconnect.next())

    def _tell(self):
        now = ticks_ms()
        if self.link.settled():
            self._reconnect.reset()
        if self.trial and not self._echo_asked and ticks_diff(now, self._connected_at) > limits.ECHO_S * 1000:
            self._echo_asked = True
            self.link.subscribe([self._topic("state")])
        since = ticks_diff(now, self._told_at)
        if (
            self.changed
            or since > self._heartbeat
            or (since > limits.PROGRESS_S * 1000 and self._progressed())
        ):
            self.changed = False
            self._told_at = now
            self._heartbeat = jitter(limits.HEARTBEAT_S * 1000)
            self._told = self.download.done if self.download else 0
            state = reports.state(self.device, self.entry, self._k, self._progress())
            self.link.publish(self._topic("state"), state, 1, True)

    def _progress(self):
        return [self.download.done, self.download.total] if self.download else [0, 0]

    def _progressed(self):
        done, total = self._progress()
        return (done - self._told) * 100 > total * limits.PROGRESS_PERCENT

    # What arrives

    def _listen(self):
        """Take at most one message. Returns whether there was one."""
        source = self.download and self.download.source
        arrived = self.link.pump()
        if source and self.link.receiving:
            self.download.alive()
        if not arrived:
            return bool(source) and self._pull(source)
        topic, payload = arrived
        address = source.address(topic) if source else None
        if address is not None:
            self._receive(address, payload)
        elif topic == self._topic("desired"):
            self.intake.take(bytes(payload))
        elif topic == self._topic("state") and self.trial:
            self._echo(bytes(payload))
        return True

    def _pull(self, source):
        """From a source that has a connection of its own. Returns whether anything came."""
        if not self.may_ask():
            return False
        if source.wants_connection:
            if self.may_take("fetch"):
                source.connect()
            else:
                self.download.alive()  # it is not the server that is silent
        arrived = source.pump()
        if source.receiving:
            self.download.alive()
        if arrived:
            self._receive(*arrived)
        return bool(arrived) or source.receiving

    def _receive(self, address, payload):
        try:
            needed = self.download.receive(address, payload)
        except OSError:
            self.end(on.FAIL, reasons.FLASH_ERROR)
            return
        except MemoryError:
            self.end(on.FAIL, reasons.NO_MEMORY)
            return
        if needed and self.phase == STALLED:
            self.go(on.ANSWER)

    def _echo(self, payload):
        """Our own state has come back: this boot's, not one that the broker kept from before."""
        try:
            said = message.parse(payload, limits.STATE_MAX, reasons.BAD_REPORT)
        except ProtocolError:
            return
        if said.get("boot") == self.journal.boots:
            self._echoed = True

    # What is to be done

    def _advance(self):
        """One slice of the work. Returns whether there is more to do at once."""
        if self.trial and self.trial.overdue():
            work.revert(self, self.trial.doubt)
        self.intake.proceed()
        doing = self._work
        busy = False
        try:
            # A generator yields True when it waits for something to arrive, anything else when it has more to do.
            busy = bool(doing) and next(doing) is not True
        except StopIteration:
            if self._work is doing:
                self._work = None
            self.booting = False
        if self.download and self.download.stalled and self.phase == DOWNLOADING:
            self.go(on.SILENCE, self.download.reason)
        return busy


def _config():
    from .config import load

    config = load()
    unload(EXAMINING)
    return config


def _watchdog(seconds):
    if seconds < _WATCHDOG_MIN_S:
        raise ValueError("watchdog_s must be at least %d" % _WATCHDOG_MIN_S)
    from machine import WDT

    return WDT(timeout=seconds * 1000)
