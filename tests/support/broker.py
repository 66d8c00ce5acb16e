"""Real brokers for tests: the system's mosquitto with this repository's mosquitto.conf."""

import os
import pwd
import re
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tests.support.paths import ROOT, program

START_S = 10


class TestBroker(Protocol):
    """What a test may do with its broker, wherever that runs."""

    __test__: bool = False

    @property
    def url(self) -> str:
        """Where clients connect, such as mqtt://127.0.0.1:40123."""

    @property
    def host(self) -> str:
        """The host of the url."""

    @property
    def port(self) -> int:
        """The port of the url; the same after every start."""

    def start(self) -> None:
        """Start and return when connections are accepted."""

    def stop(self) -> None:
        """Stop in order, so that what is retained is kept for the next start."""

    def kill(self) -> None:
        """Stop as a power cut does."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """The system's mosquitto on a port of its own, which it keeps over `kill()` and `start()`."""

    host = "127.0.0.1"

    def __init__(self, folder: Path, extra: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"mqtt://{self.host}:{self.port}"
        self.log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "mosquitto.conf"
        self._config.write_text(self._adapted((ROOT / "mosquitto.conf").read_text()) + extra)

    def _adapted(self, config: str) -> str:
        """Replace the port; put files into our folder; keep the user, who owns that folder."""
        config, listeners = re.subn(
            r"(?m)^listener 1883 127\.0\.0\.1$", f"listener {self.port} 127.0.0.1", config
        )
        assert listeners == 1, "mosquitto.conf has another listener line than the tests replace"
        return f"{config}\nuser {pwd.getpwuid(os.getuid()).pw_name}\npersistence_location {self.folder}/\n"

    def start(self) -> None:
        """Start and return when connections are accepted; its log goes to `self.log`.

        :raises AssertionError: with the log, when it ends instead
        """
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [program("mosquitto"), "-c", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        limit = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
            except OSError:
                ended = self._process.poll() is not None
                if ended or time.monotonic() > limit:
                    raise AssertionError(f"mosquitto did not start:\n{self.log.read_text()}") from None
                time.sleep(0.01)
            else:
                return

    def stop(self) -> None:
        """Stop in order, so that what is retained is written to disk."""
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """Stop as a power cut does: what came after the last autosave is lost."""
        self._end(subprocess.Popen.kill)

    def _end(self, how: Callable[[subprocess.Popen[bytes]], None]) -> None:
        if self._process is None:
            return
        how(self._process)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


# `pytest --broker-provider NAME`. A container engine would be one more line here.
PROVIDERS: dict[str, Callable[[Path], Mosquitto]] = {"system": Mosquitto}
