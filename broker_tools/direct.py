"""Delivery `direct`: the publisher answers one device's requests for chunks. Rules only, no I/O."""

from agent.protocol import limits
from agent.protocol.errors import ProtocolError
from agent.protocol.host import topics, wants
from agent.protocol.reasons import BAD_WANT
from broker_tools.release import Release


class Direct:
    """Answers the wants of one device for one offer.

    Only the newest want counts: what an older one asked for and was not sent is dropped, because the device
    asks anew for what it still misses. So at most one window (16 chunks) is ever queued here.
    """

    def __init__(self, release: Release, prefix: str, device: str, n: int) -> None:
        """Serve `release`, offered to `device` under number `n`."""
        self.release = release
        self.n = n
        self.progress = 0
        """One more than the furthest chunk sent: devices ask in order, also when they resume."""
        self._prefix = prefix
        self._device = device
        self._newest = -1
        self._pages: list[int] = []
        self._chunks: list[int] = []

    def want(self, payload: bytes) -> bool:
        """Take one request; False when it is for another offer or content, or older than the newest.

        Raises ProtocolError when it is malformed or asks for what the content does not have.
        """
        asked = wants.decode(payload)
        if asked["n"] != self.n or asked["content"] != self.release.content or asked["w"] <= self._newest:
            return False
        chunks = [i for first, count in asked["chunks"] for i in range(first, first + count)]
        pages = list(asked["index"])
        if any(i >= self.release.chunks for i in chunks) or any(
            i >= len(self.release.form.pages) for i in pages
        ):
            raise ProtocolError(BAD_WANT, "asks beyond the end of the content")
        self._newest = asked["w"]
        self._chunks, self._pages = chunks[::-1], pages[::-1]
        return True

    def restart(self) -> None:
        """Accept any `w` again: the device's storage was erased, so its boots and requests count from the start."""
        self._newest = -1
        self._chunks, self._pages = [], []

    def next(self) -> tuple[str, bytes] | None:
        """Return topic and payload of the next message to send, or None. Pages go before chunks that they check."""
        form = self.release.form
        if self._pages:
            page = self._pages.pop()
            return topics.page(self._prefix, self._device, form.name, page), form.pages[page]
        if self._chunks:
            i = self._chunks.pop()
            self.progress = max(self.progress, i + 1)
            return topics.chunk(self._prefix, self._device, form.name, i * limits.CHUNK), form.payloads[i]
        return None
