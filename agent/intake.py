"""What arrives on `desired`: which offer is taken up, which one waits, which one is refused or forgotten."""

from . import transitions as on, work
from .protocol import reasons
from .protocol.errors import ProtocolError
from .protocol.phases import COMMITTED, DEFERRED, DOWNLOADING, OFFERED, STALLED, VERIFYING

OPEN = (OFFERED, DEFERRED, DOWNLOADING, STALLED, VERIFYING)  # an offer is being worked on and may be given up

_UNNAMED = {"rollout": "", "attempt": 0, "saved": 0}  # of an offer that was not read, or only taken back


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

    def take(self, payload):
        """A message has come on `desired`."""
        from .protocol.offer import decode

        try:
            self._waiting = decode(payload)
            self.heard = True
        except ProtocolError as error:
            self._waiting = error
        self.proceed()

    def proceed(self):
        """Take what waits as soon as the present update may be given up."""
        if self._waiting and not (self._agent.booting or self._agent.phase in COMMITTED):
            waiting, self._waiting = self._waiting, None
            if isinstance(waiting, ProtocolError):
                self._refuse(waiting)
            else:
                self._take(waiting)

    def _refuse(self, error):
        """An offer that can't be read is refused under its number, as far as that could be read."""
        agent = self._agent
        held = agent.entry["n"]
        n = error.n or held
        if n > held:
            if agent.phase in OPEN:
                agent.end(on.WITHDRAW, reasons.SUPERSEDED)
            agent.end(on.REFUSE, error.reason, n=n, **_UNNAMED)
        elif n == held and agent.phase not in OPEN and agent.entry["reason"] != error.reason:
            agent.end(on.REFUSE, error.reason)

    def _take(self, offer):
        agent = self._agent
        n = offer["n"]
        newer = n > agent.entry["n"]
        if n < agent.entry["n"]:
            return
        if offer.get("withdraw"):
            if newer:
                agent.end(on.WITHDRAW, reasons.WITHDRAWN, n=n, **_UNNAMED)
            elif agent.phase in OPEN:
                agent.end(on.WITHDRAW, reasons.WITHDRAWN)
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
