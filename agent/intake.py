"""What arrives on `desired`: which offer is taken up, which one waits, which one is refused or forgotten."""

from . import transitions as on, work
from .protocol import reasons
from .protocol.errors import ProtocolError
from .protocol.phases import COMMITTED, DEFERRED, DOWNLOADING, OFFERED, STALLED, VERIFYING

OPEN = (OFFERED, DEFERRED, DOWNLOADING, STALLED, VERIFYING)  # an offer is being worked on and may be given up


class Intake:
    """The offers of one agent. `offer` is the one being worked on, as decoded, once this boot has seen it.

    `heard` says that an offer or withdrawal has come in this boot, `named` that this connection has delivered the
    offer which the agent holds: nothing is asked for before, because it may have been withdrawn meanwhile.
    """

    def __init__(self, agent):
        self._agent = agent
        self._waiting = None  # came while the present update may not be given up
        self.offer = None
        self.heard = False
        self.named = False

    def hung_up(self):
        """The connection is gone; the next one delivers `desired` again."""
        self._waiting = None
        self.named = False

    def _committed(self):
        return self._agent.booting or self._agent.phase in COMMITTED

    def take(self, payload):
        """A message has come on `desired`."""
        from .protocol.offer import decode

        try:
            offer = decode(payload)
        except ProtocolError as error:
            self._unreadable(error)
            return
        self.heard = True
        self._waiting = offer
        self.proceed()

    def proceed(self):
        """Take what waits as soon as the present update may be given up."""
        if self._waiting and not self._committed():
            offer, self._waiting = self._waiting, None
            self._take(offer)

    def _unreadable(self, error):
        """An offer that can't be read is refused under its number, as far as that could be read."""
        agent = self._agent
        held = agent.entry["n"]
        n = error.n or held
        if self._committed() or n < held:
            return
        if n > held and agent.phase in OPEN:
            agent.end(on.WITHDRAW, reasons.SUPERSEDED)
        if agent.phase not in OPEN and (n > held or agent.entry["reason"] != error.reason):
            agent.end(on.REFUSE, error.reason, n=n)

    def _take(self, offer):
        agent = self._agent
        n = offer["n"]
        newer = n > agent.entry["n"]
        if n < agent.entry["n"]:
            return
        if offer.get("withdraw"):
            if newer or agent.phase in OPEN:
                agent.end(on.WITHDRAW, reasons.WITHDRAWN, n=n)
            return
        self.named = True
        if newer:
            if agent.phase in OPEN:
                agent.end(on.WITHDRAW, reasons.SUPERSEDED)
            agent.go(on.OFFER, n=n, rollout=offer["rollout"], attempt=offer["attempt"], saved=0)
        elif agent.phase not in OPEN:
            return
        if self.offer:  # the same offer again: perhaps its grant, perhaps a publisher that has come back
            self.offer["start"] = offer["start"]
            if agent.download:
                agent.download.wake()
        else:
            self.offer = offer
            agent.begin(work.update(agent))
