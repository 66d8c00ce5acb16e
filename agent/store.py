"""Delivery `store`: the broker holds the content as retained messages, and asking is to subscribe to them.

Theory of operation. One SUBSCRIBE names exactly the messages that are wanted; the broker answers it with what it
retains of them (MQTT 3.1.1, section 3.8.4). What has come is unsubscribed from with the next want, and so is what is
asked for again: some brokers send a retained message only for a subscription that is new to them.
"""

from .protocol.limits import CHUNK


class Store:
    """Asks for messages below `base`, the topic up to the address, ".../images/<project>/<content>/"."""

    receiving = wants_connection = False
    refused = ""

    def __init__(self, link, base):
        self._link = link
        self._base = base
        self.open()

    def open(self):
        self._asked = []  # addresses subscribed to; a new connection begins with none
        self._came = []  # of these

    def close(self):
        if self._link.up and self._asked:
            self._unsubscribe(self._asked)
        self.open()

    def _unsubscribe(self, addresses):
        self._link.unsubscribe([self._base + address for address in addresses])

    def address(self, topic):
        if not topic.startswith(self._base):
            return None
        address = topic[len(self._base) :]
        if address in self._asked and address not in self._came:
            self._came.append(address)
        return address

    def ask(self, chunks, pages):
        wanted = ["index/%d" % page for page in pages] + [str(chunk * CHUNK) for chunk in chunks]
        over = [address for address in self._asked if address in self._came or address in wanted]
        if over:
            self._unsubscribe(over)
        self._link.subscribe([self._base + address for address in wanted], 0)
        self._asked = [address for address in self._asked if address not in over] + wanted
        self._came = []

    def pump(self):
        return None
