"""Delivery `direct`: the publisher that made the offer answers wants on the device's own topics."""

from .protocol import want


class Direct:
    """Asks for the content of offer `n` with wants on the topic `asks`.

    `base` is the topic of the answers up to the address, ".../chunk/<content>/"; `number()` is the next want's w.
    """

    receiving = wants_connection = False
    refused = ""

    def __init__(self, link, asks, base, n, content, number):
        self._link = link
        self._asks = asks
        self._base = base
        self._n = n
        self._content = content
        self._number = number

    def open(self):
        if self._link.up:
            self._link.subscribe([self._base + "#"], 0)

    def close(self):
        if self._link.up:
            self._link.unsubscribe([self._base + "#"])

    def address(self, topic):
        return topic[len(self._base) :] if topic.startswith(self._base) else None

    def ask(self, chunks, pages):
        ranges = []
        for chunk in chunks:
            if ranges and ranges[-1][0] + ranges[-1][1] == chunk:
                ranges[-1][1] += 1
            else:
                ranges.append([chunk, 1])
        self._link.publish(self._asks, want.encode(self._n, self._content, self._number(), ranges, pages))

    def pump(self):
        return None
