"""The agent: one device, its broker, and the update it is working on. `step()` does one small slice of everything.

Theory of operation. The agent holds one journal entry (which offer, which phase, why) and moves it only through
`go()`, which asks the table, stores the entry, and then tells the host. The work of a phase is a generator of work.py
that step() advances by one slice: a few point operations of a signature, one sector read, hashed or written.
Messages are taken one per step, so the longest step is one sector's erase and write. The named exceptions are what
MicroPython can't cut: opening the connection, and set_boot, which verifies the whole image.
"""

import gc

_threshold = gc.threshold()
gc.threshold(2048)  # while compiling, collect often: what stays then lies packed at one end of a small heap

from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

from . import reports, transitions as on, work
from .backoff import Backoff, jitter
from .config import load
from .device import Device
from .journal import Journal, JournalError
from .link import Link
from .protocol import limits, message, offer as offers, reasons, topics, want
from .protocol.errors import ProtocolError
from .protocol.phases import COMMITTED, DEFERRED, DOWNLOADING, IDLE, OFFERED, STALLED, VERIFYING
from .packets import PACKET_MAX
from .wifi import Wifi

gc.threshold(_threshold)

OPEN = (OFFERED, DEFERRED, DOWNLOADING, STALLED, VERIFYING)  # an offer is being worked on and may be given up
_NOTHING = {"phase": IDLE, "n": 0, "rollout": "", "attempt": 0, "reason": "", "events": []}
_TRIAL_FIELDS = (
    "slot",
    "sha256",
    "sequence",
    "manifest",
    "boots",
)  # of the entry, while an update is committed
_DOZE_MS = 50


class Agent:
    """One device's agent.

    `config` is a Config (device.json by default; raises ConfigError when that is wrong). `selftest`, if given, is
    called while a new image is on trial: True passes, False gives the image up, None asks to be called again.
    """

    def __init__(self, config=None, selftest=None):
        self.config = config = config or load()
        self.selftest = selftest
        buffer = bytearray(PACKET_MAX)  # the largest thing that is ever held at once
        self.page = bytearray(limits.INDEX_PAGE * limits.INDEX_ENTRY)  # of the index, for the download
        self.journal = Journal()
        self.entry = self.journal.read(buffer) or dict(_NOTHING)
        if self.journal.lost:
            self.entry["reason"] = reasons.STATE_LOST
        self.device = Device(config, self.journal)
        self.link = Link(buffer, config.id, config.host, config.port, config.user, config.password)
        self.offer = None  # as decoded, once this boot has seen it
        self.download = None
        self.trial = None
        self._wifi = Wifi(config.wifi)
        self._reconnect = Backoff(limits.BACKOFF_S * 1000, limits.BACKOFF_MAX_S * 1000)
        self._connect_due = self._connected_at = self._told_at = ticks_ms()
        self._k = 0  # acks told since boot
        self._w = self.journal.boots << 16  # wants sent, so that they grow over resets
        self._waiting = None  # an offer that came while the present one may not be given up
        self._heard = False  # whether the broker has told this boot anything that proves a way back
        self._named = False  # whether this connection has delivered the offer that the entry holds
        self._heartbeat = 0
        self._echo_asked = False
        self._content = ""
        self._chunks = ""  # topic prefix of the content being fetched
        self._told = 0  # chunks done when progress was last told
        self.changed = True  # whether the state has changed since it was told
        self._busy = True
        self._booting = True
        self._work = work.wake_up(self)

    @property
    def phase(self):
        return self.entry["phase"]

    def step(self):
        """One slice: at most one message, one sector or a few point operations, and what has to be said of it."""
        try:
            if self.link.up:
                self._listen()
            else:
                self._connect()
            self._advance()
            if self.link.up:
                self._tell()
        except OSError:  # only the link's: what touches the flash turns its errors into reasons
            self._hang_up()

    def run(self):
        """Step for ever, asleep while there is nothing to do."""
        while True:
            self.step()
            if not self._busy:
                if self.link.up:
                    self.link.wait(_DOZE_MS)
                else:
                    sleep_ms(_DOZE_MS)

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

    def end(self, event, reason="", **fields):
        """`go()`, and the update is over: what it held is let go."""
        self._work = self.offer = self.trial = None
        self._booting = False
        if self.download:
            self.download.abort()
            self.download = None
            if self.link.up:
                self.link.unsubscribe([self._chunks + "#"])
        for field in _TRIAL_FIELDS:
            self.entry.pop(field, None)
        self.go(event, reason, **fields)
        gc.collect()

    def fetch(self, download, content):
        """Generator: run `download` over the link."""
        self.download = download
        self._content = content
        self._chunks = self._topic("chunk/" + content + "/")
        self._told = 0
        if self.link.up:
            self.link.subscribe([self._chunks + "#"], 0)
        yield from download.run()

    def heard(self):
        """Whether this boot has heard its broker: an offer has arrived, or our own state has come back."""
        return self._heard

    def may_ask(self):
        """Nothing is asked for on a connection that has not delivered the offer: it may have been withdrawn."""
        return self.link.up and self._named

    def ask(self, chunks, pages):
        """Send a want for these chunks and index pages, both ascending."""
        self._w += 1
        ranges = []
        for chunk in chunks:
            if ranges and ranges[-1][0] + ranges[-1][1] == chunk:
                ranges[-1][1] += 1
            else:
                ranges.append([chunk, 1])
        self.link.publish(
            self._topic("want"), want.encode(self.entry["n"], self._content, self._w, ranges, pages)
        )

    # The connection

    def _topic(self, leaf):
        return topics.topic(self.config.prefix, self.config.id, leaf)

    def _connect(self):
        now = ticks_ms()
        if ticks_diff(now, self._connect_due) < 0 or not self._wifi.ready():
            return
        boot, conn = self.journal.boots, self.link.conn + 1
        self.link.open(self._topic("online"), reports.online(boot, conn, False))
        self._connected_at = ticks_ms()
        self._named = self._echo_asked = False
        self.link.subscribe([self._topic("desired")])
        if self.download:
            self.link.subscribe([self._chunks + "#"], 0)
        self.link.publish(self._topic("online"), reports.online(boot, conn, True), 1, True)
        self.changed = True

    def _hang_up(self):
        self.link.close()
        self._waiting = None  # the broker delivers it again
        self._named = False
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
            or (self._progressed() and since > limits.PROGRESS_S * 1000)
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
        arrived = self.link.pump()
        if self.download and self.link.receiving:
            self.download.alive()
        if not arrived:
            return
        topic, payload = arrived
        if self.download and topic.startswith(self._chunks):
            self._receive(topic[len(self._chunks) :], payload)
        elif topic == self._topic("desired"):
            self._desired(bytes(payload))
        elif topic == self._topic("state") and self.trial:
            self._echo(bytes(payload))

    def _receive(self, address, payload):
        """`address` is "<offset>" or "index/<page>"."""
        try:
            if address.startswith("index/"):
                needed = self.download.page(int(address[6:]), payload)
            else:
                needed = self.download.chunk(int(address), payload)
        except ValueError:
            return
        except OSError:
            self.end(on.FAIL, reasons.FLASH_ERROR)
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
            self._heard = True

    def _desired(self, payload):
        try:
            offer = offers.decode(payload)
        except ProtocolError as error:
            self._unreadable(error)
            return
        self._heard = True
        if self._booting or self.phase in COMMITTED:
            self._waiting = offer
        else:
            self._take(offer)

    def _unreadable(self, error):
        """An offer that can't be read is refused under its number, as far as that could be read."""
        n = error.n or self.entry["n"]
        if self._booting or self.phase in COMMITTED or n < self.entry["n"]:
            return
        if n > self.entry["n"] and self.phase in OPEN:
            self.end(on.WITHDRAW, reasons.SUPERSEDED)
        if self.phase not in OPEN and (n > self.entry["n"] or self.entry["reason"] != error.reason):
            self.end(on.REFUSE, error.reason, n=n)

    def _take(self, offer):
        """A readable offer or withdrawal, at a time when the present update may be given up."""
        n = offer["n"]
        newer = n > self.entry["n"]
        if n < self.entry["n"]:
            return
        if offer.get("withdraw"):
            if newer or self.phase in OPEN:
                self.end(on.WITHDRAW, reasons.WITHDRAWN, n=n)
            return
        self._named = True
        if newer:
            if self.phase in OPEN:
                self.end(on.WITHDRAW, reasons.SUPERSEDED)
            self.go(on.OFFER, n=n, rollout=offer["rollout"], attempt=offer["attempt"])
        elif self.phase not in OPEN:
            return
        if self.offer:  # the same offer again: perhaps its grant, perhaps a publisher that has come back
            self.offer["start"] = offer["start"]
            if self.download:
                self.download.wake()
        else:
            self.offer = offer
            self._work = work.update(self)

    # What is to be done

    def _advance(self):
        if self.trial and self.trial.overdue():
            work.revert(self, self.trial.doubt)
        if self._waiting and not self._booting and self.phase not in COMMITTED:
            offer, self._waiting = self._waiting, None
            self._take(offer)
        doing = self._work
        try:
            # A generator yields True when it waits for something to arrive, anything else when it has more to do.
            self._busy = bool(doing) and next(doing) is not True
        except StopIteration:
            self._busy = False
            if self._work is doing:
                self._work = None
            self._booting = False
        if self.download and self.download.stalled and self.phase == DOWNLOADING:
            self.go(on.SILENCE, reasons.NO_ANSWER)
