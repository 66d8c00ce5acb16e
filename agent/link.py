"""The device's connection to its broker: opened by umqtt.simple, then read and written without blocking.

Theory of operation. `open()` is the one long step (name look-up, TCP, TLS, CONNECT). After it every call returns at
once: `publish()` and `subscribe()` queue a packet and never fail, `pump()` writes what the socket takes, takes at
most one packet and hands its message over. An OSError from `pump()` means that the connection is gone; the owner
calls `close()` and later `open()` with a backoff of its own. A connection on which nothing arrives although a ping
is out is half-open and raises too, because TCP alone would notice after many minutes or never.

Messages of QoS 1 wait in a list until their PUBACK, over connections. They pass from there into the outbox one by
one, as it empties: however many have gathered while there was no broker, they never overflow it.
"""

import socket
from select import POLLIN, POLLOUT, poll
from time import ticks_add, ticks_diff, ticks_ms

from umqtt import simple

from . import packets
from .protocol.limits import (
    KEEPALIVE_S,
)  # the broker publishes the last will after 1.5 times this (section 3.1.2.10)

PING_AFTER_MS = 20_000  # of silence, on either side
PING_WAIT_MS = 10_000  # for any byte after the ping
CONNECT_TIMEOUT_S = 15
OUTBOX_MAX = 8192  # bytes that may wait for the socket: more means that it takes nothing any more
OUTBOX_FILL = 1024  # bytes, beyond which messages of QoS 1 wait in their list
UNANSWERED_MAX = 16  # QoS 1 messages kept for their PUBACK


class _Sockets:
    """What umqtt.simple before 1.5.0 gets for the module `socket`: its connect() would wait for ever."""

    getaddrinfo = socket.getaddrinfo

    @staticmethod
    def socket(*args):
        sock = socket.socket(*args)
        sock.settimeout(CONNECT_TIMEOUT_S)
        return sock


class Link:
    """One MQTT session at a time. `conn` counts the connections opened since boot.

    `buffer` of PACKET_MAX bytes takes what arrives; nobody else may use it while the link is up.
    """

    def __init__(self, buffer, device, host, port, user=None, password=None):
        self._buffer = buffer
        self._client_args = (device, host, port, user, password, KEEPALIVE_S)
        self._sock = None
        self._pid = 0
        self._unanswered = []  # [pid, topic, payload, retain, sent] of QoS 1 messages, oldest first
        self.up = False
        self.receiving = False  # whether part of a packet came with the last pump()
        self.conn = 0

    def open(self, will_topic, will):
        """Connect, with a retained last will. Each wait in it is cut off after CONNECT_TIMEOUT_S.

        Raises OSError where the broker can't be reached or refuses; its second argument then says how.
        """
        self.close()
        client = simple.MQTTClient(*self._client_args)
        client.set_last_will(will_topic, will, retain=True, qos=1)
        try:
            try:
                client.connect(True, timeout=CONNECT_TIMEOUT_S)
            except TypeError:
                if client.sock:  # a short CONNACK, met by umqtt.simple as None[0]
                    raise
                simple.socket = _Sockets
                client.connect(True)
        except (
            Exception
        ) as error:  # umqtt.simple mixes OSError, MQTTException, AssertionError, IndexError, TypeError
            if client.sock:
                client.sock.close()
            if isinstance(error, OSError):
                raise
            raise OSError(111, repr(error))
        self._sock = client.sock
        self._sock.setblocking(False)
        self._poll = poll()
        self._poll.register(self._sock, POLLIN)
        self._reader = packets.Reader(self._sock, self._buffer)
        self._out = bytearray()
        self._full = False
        self._heard = self._said = ticks_ms()
        self._pinged = False
        self.up = True
        self.conn += 1
        for message in self._unanswered:
            message[4] = False

    def close(self):
        """Drop the connection without a word: the broker publishes the last will."""
        self.up = False
        if self._sock:
            self._sock.close()
            self._sock = None
            self._reader = None

    def _send(self, packet):
        if len(self._out) + len(packet) > OUTBOX_MAX:
            self._full = True
        else:
            self._out += packet

    def _next_pid(self):
        self._pid = self._pid % 65535 + 1
        return self._pid

    def publish(self, topic, payload, qos=0, retain=False):
        """Queue a message. One of QoS 1 is kept until its PUBACK and sent again on the next connection."""
        if not qos:
            if self.up:
                self._send(packets.publish(topic, payload, 0, retain))
            return
        # A retained message replaces an unanswered older one of its topic, as it will on the broker.
        self._unanswered = [m for m in self._unanswered if not (retain and m[3] and m[1] == topic)]
        self._unanswered.append([self._next_pid(), topic, payload, retain, False])
        if len(self._unanswered) > UNANSWERED_MAX:
            for message in self._unanswered:
                if not message[3]:  # what is retained is the truth, the others are history
                    self._unanswered.remove(message)
                    break

    def subscribe(self, filters, qos=1):
        self._send(packets.subscribe(filters, self._next_pid(), qos))

    def unsubscribe(self, filters):
        self._send(packets.unsubscribe(filters, self._next_pid()))

    def settled(self):
        """Whether the broker has acknowledged all that was sent to it."""
        return not self._unanswered

    def idle_ms(self):
        """Milliseconds since the last byte from the broker."""
        return ticks_diff(ticks_ms(), self._heard)

    def wait(self, milliseconds):
        """Sleep until the broker sends something, or takes what waits for it; at most `milliseconds`."""
        self._poll.modify(self._sock, POLLIN | POLLOUT if self._waiting() else POLLIN)
        for _ in self._poll.ipoll(milliseconds):
            pass

    def pump(self):
        """Write, read at most one packet, ping. Returns (topic, payload view) when a message has arrived, else None.

        Raises OSError when the connection is gone.
        """
        self._write()
        packet = self._reader.read()
        if self._reader.fresh:
            self._heard = ticks_ms()
            self._pinged = False
        self.receiving = self._reader.fresh and not packet
        self._watch()
        if not packet:
            return None
        kind, length = packet
        if kind & 0xF0 == packets.PUBLISH:
            return self._message(kind, length)
        if kind == packets.PUBACK and length == 2:
            pid = int.from_bytes(self._buffer[:2], "big")
            self._unanswered = [m for m in self._unanswered if m[0] != pid]
        return None

    def _message(self, kind, length):
        try:
            topic, payload, pid = self._reader.message(kind, length)
        except ValueError:
            raise OSError(71)
        if pid:
            self._send(packets.puback(pid))
        # One without a payload only removes what was retained, and one that did not fit is none of ours.
        return (topic, payload) if topic and payload else None

    def _unsent(self):
        for message in self._unanswered:
            if not message[4]:
                return message
        return None

    def _waiting(self):
        return self._out or self._unsent()

    def _write(self):
        if self._full:
            raise OSError(105)  # ENOBUFS
        while len(self._out) < OUTBOX_FILL:
            message = self._unsent()
            if not message:
                break
            message[4] = True
            self._send(packets.publish(message[1], message[2], message[0], message[3]))
        if self._out:
            sent = self._sock.write(self._out)
            if sent:
                self._out = self._out[sent:]
                self._said = ticks_ms()

    def _watch(self):
        """Ping when either side has been silent, and notice when nobody answers."""
        now = ticks_ms()
        if self._pinged:
            if ticks_diff(now, self._ping_due) > 0:
                raise OSError(110)  # ETIMEDOUT: half-open
        elif self.idle_ms() >= PING_AFTER_MS or ticks_diff(now, self._said) >= PING_AFTER_MS:
            self._pinged = True
            self._ping_due = ticks_add(now, PING_WAIT_MS)
            self._send(packets.PINGREQ)
