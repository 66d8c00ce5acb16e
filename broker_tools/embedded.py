"""A real MQTT broker inside this program, for a machine that has none.

It is rumqttd from the package iotcore; docs/decisions/0003-embedded-broker.md says why and what it cannot do.
It is for demos and tests on one machine: it listens on loopback, has no passwords, and forgets everything
when it ends.
"""

import socket
from types import TracebackType
from typing import Self

from iotcore import Broker

from broker_tools.errors import OtafleetError
from broker_tools.exits import NO_BROKER

HOST = "127.0.0.1"
# Largest payload in bytes: an offer or a chunk has 4096, the packet around it at most 300 more.
MAX_PAYLOAD = 8192


class EmbeddedBroker:
    """A context manager: inside it a broker accepts connections at `url`.

    The broker is a child process. It ends with the context, and by itself when this process dies, however
    that happens.
    """

    host = HOST

    def __init__(self, port: int = 0) -> None:
        """Choose the port: 0 takes a free one."""
        self.port = port or _free_port()
        self.url = f"mqtt://{HOST}:{self.port}"
        self._broker = Broker(port=self.port, listen=HOST, max_payload_size=MAX_PAYLOAD)

    def start(self) -> None:
        """Start and return when connections are accepted.

        :raises OtafleetError: when the port is taken or the broker does not start
        """
        try:
            self._broker.start()
        except (OSError, RuntimeError) as error:
            raise OtafleetError(
                f"the embedded broker does not start on port {self.port}: {error}", NO_BROKER
            ) from error

    def stop(self) -> None:
        """End the broker and wait for its end."""
        self._broker.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
