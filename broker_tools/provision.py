"""What a board has to be given besides its firmware: who it is and whom it trusts, the agent and its guard.

Digital twins and boards get the same files. What `device.json` says is written when a board is set up; later it is
changed only in what is asked for, so that a person may edit the file.
"""

import importlib.resources
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from broker_tools.broker_url import BrokerUrl
from broker_tools.bytecode import compile_all
from broker_tools.errors import OtafleetError
from broker_tools.inlining import inline

CONFIG = "otafleet/device.json"
"""Where a board keeps what it is told, from its root."""
DEFAULTS: Mapping[str, Any] = {"project": "demo", "hardware": "", "prefix": "fleet", "keys": [], "floor": 0}
"""What a new device.json says where its maker says nothing."""
_HOST_ONLY = "protocol/host/"
"""Modules of the agent that a device never loads."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a board is to be told; None leaves what it has, or takes the default of a new one."""

    device: str | None
    project: str | None = None
    broker: BrokerUrl | None = None
    prefix: str | None = None
    keys: Sequence[Mapping[str, str]] | None = None
    """Public keys (JWK) that it trusts."""
    hardware: str | None = None
    floor: int | None = None
    """Lowest sequence of a release that it takes."""
    wifi: Mapping[str, str] | None = None
    """The network that it joins: ssid and key."""
    hosts: Sequence[str] | None = None
    """Web servers, by name, that it may ask for images."""

    def apply(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of device.json with these settings in them."""
        told: dict[str, Any] = {
            "id": self.device,
            "project": self.project,
            "hardware": self.hardware,
            "prefix": self.prefix,
            "floor": self.floor,
        }
        if self.keys is not None:
            told["keys"] = list(self.keys)
        if self.wifi is not None:
            told["wifi"] = dict(self.wifi)
        if self.hosts is not None:
            told["hosts"] = list(self.hosts)
        if self.broker is not None:
            host = f"[{self.broker.host}]" if ":" in self.broker.host else self.broker.host
            told["broker"] = f"mqtt://{host}:{self.broker.port}"
            told["user"] = self.broker.user or ""
            told["password"] = self.broker.password or ""
        return {**fields, **{name: value for name, value in told.items() if value is not None}}


def agent_folder() -> Path:
    """Where the agent is installed. It is found, not imported: it would not run here."""
    return Path(str(importlib.resources.files("agent")))


def agent_file(name: str) -> bytes:
    """Return a file of the agent that is copied to a board, such as boot.py."""
    return (agent_folder() / name).read_bytes()


@cache
def agent_files() -> Mapping[str, bytes]:
    """The agent as a board keeps it: paths from the board's root, such as lib/agent/agent.mpy, and contents.

    boot.py and main.py are not among them: they go to the root. Nor is what only the host loads.
    """
    root = agent_folder()
    found = {}
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if name not in {"boot.py", "main.py"} and not name.startswith(_HOST_ONLY):
            found[f"lib/agent/{name}"] = path.read_bytes()
    return compile_all(inline(found))


def encode(fields: Mapping[str, Any]) -> bytes:
    """Return what is written into device.json."""
    return json.dumps(fields, indent=2).encode() + b"\n"


def decode(data: bytes, where: str) -> dict[str, Any]:
    """Return the fields that a device.json holds; `where` names it in errors.

    :raises OtafleetError: when it is no JSON object
    """
    try:
        fields = json.loads(data)
    except ValueError as error:
        raise OtafleetError(f"{where} is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise OtafleetError(f"{where} must hold one JSON object")
    return fields
