"""Digital twins as this package sets them up: a flash with an image in it, and the files of a provisioned board.

A folder holds one twin: `flash.bin`, and `vfs/`, which is what the board sees as its root. What `device.json` says is
written when the twin is made; later runs change only what they are asked to, so that a person may edit the file.
"""

import importlib.resources
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker_tools import exits
from broker_tools.broker_url import BrokerUrl
from broker_tools.errors import OtafleetError, os_reason
from firmware.twin import chips
from firmware.twin.errors import TwinError
from firmware.twin.image import make_image
from firmware.twin.twin import Twin

CONFIG = Path("otafleet") / "device.json"
FIRST_VERSION = "1.0"
CHIPS = tuple(chips.CHIPS)
DESCRIPTOR_NAME_MAX = 31
"""Longest version or project that an app descriptor holds, in bytes (esp_app_desc_t, with its final zero)."""
WIFI = {"ssid": "twin", "key": ""}
"""The network in the air around a twin; any other can't be reached."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a twin is to be told; None leaves what it has, or takes the default of a new one."""

    device: str
    project: str | None = None
    broker: BrokerUrl | None = None
    prefix: str | None = None
    keys: Sequence[Mapping[str, str]] | None = None
    """Public keys (JWK) that it trusts."""

    def apply(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of device.json with these settings in them."""
        told: dict[str, Any] = {"id": self.device, "project": self.project, "prefix": self.prefix}
        if self.keys is not None:
            told["keys"] = list(self.keys)
        if self.broker is not None:
            host = f"[{self.broker.host}]" if ":" in self.broker.host else self.broker.host
            told["broker"] = f"mqtt://{host}:{self.broker.port}"
            told["user"] = self.broker.user or ""
            told["password"] = self.broker.password or ""
        return {**fields, **{name: value for name, value in told.items() if value is not None}}


def agent_file(name: str) -> bytes:
    """Return a file of the agent that is copied to a board, such as boot.py."""
    return (agent_folder() / name).read_bytes()


def agent_folder() -> Path:
    """Where the agent is installed. It is found, not imported: it would not run here."""
    return Path(str(importlib.resources.files("agent")))


def exists(folder: Path) -> bool:
    """Whether `folder` holds a twin."""
    return Twin.exists(folder)


def image(code: bytes | None, project: str, version: str, *, chip: str = "esp32", size: int = 0) -> bytes:
    """Return an app image for a twin.

    :param code: what its app runs; None leaves that to the board's /main.py
    :param size: bytes that it is to have at least
    :raises OtafleetError: when the project or the version is too long for an app descriptor
    """
    try:
        return make_image(code, project, version, chip, size=size)
    except ValueError as error:
        raise OtafleetError(str(error), exits.USAGE) from None


def provision(
    folder: Path,
    settings: Settings,
    *,
    app: bytes | None = None,
    chip: str = "esp32",
    libs: Mapping[str, Path] | None = None,
) -> None:
    """Make the twin in `folder`, or tell the one that is there what `settings` say.

    :param app: the image that a new twin starts with; a plain one that runs the default app when None
    :param libs: folders to link into the board's /lib, besides the agent
    :raises OtafleetError: when the folder holds another device, or the disk refuses
    """
    with _one_line(folder):
        if exists(folder):
            _tell(folder, settings, app)
        else:
            _make(folder, settings, app, chip, libs or {})


def run(
    folder: Path,
    *,
    heap: str = "128k",
    flash_timing: bool = False,
    stop: threading.Event | None = None,
    log: Callable[[str], None] | None = None,
) -> None:
    """Run the twin in `folder` until `stop` is set, or SIGTERM or Ctrl-C comes.

    :param log: called with every line of its console
    :raises OtafleetError: when there is none, when it runs already, or when nothing in its flash boots
    """
    with _one_line(folder), closing(Twin(folder, heap, flash_timing, log)) as twin:
        twin.run(stop)


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    try:
        yield
    except TwinError as error:
        raise OtafleetError(str(error)) from None
    except OSError as error:
        raise OtafleetError(f"cannot write the twin in {folder}: {os_reason(error)}") from None


def _make(folder: Path, settings: Settings, app: bytes | None, chip: str, libs: Mapping[str, Path]) -> None:
    fields = settings.apply(
        {"project": "demo", "hardware": "", "prefix": "fleet", "keys": [], "floor": 0, "wifi": WIFI}
    )
    made = Twin.create(
        folder,
        app or image(None, fields["project"], FIRST_VERSION, chip=chip),
        chip=chip,
        files={
            "boot.py": agent_file("boot.py"),
            "main.py": agent_file("main.py"),
            str(CONFIG): _json(fields),
        },
        libs={"agent": agent_folder(), **libs},
    )
    made.close()


def _tell(folder: Path, settings: Settings, app: bytes | None) -> None:
    if app is not None:
        message = f"{folder} already holds a twin; publish the image to it, or name a new folder for --image"
        raise OtafleetError(message, exits.USAGE)
    path = folder / "vfs" / CONFIG
    fields = read_config(folder)
    if fields.get("id") != settings.device:
        raise OtafleetError(f"{folder} holds the twin {fields.get('id')}, not {settings.device}", exits.USAGE)
    told = settings.apply(fields)
    if told != fields:
        path.write_bytes(_json(told))
    # After an upgrade or a move of this package the agent is elsewhere, and the guard has to be of its age.
    link = folder / "vfs" / "lib" / "agent"
    if link.is_symlink() and link.readlink() != agent_folder():
        link.unlink()
        link.symlink_to(agent_folder())
    (folder / "vfs" / "boot.py").write_bytes(agent_file("boot.py"))


def read_config(folder: Path) -> dict[str, Any]:
    """Return what the twin's device.json says.

    :raises OtafleetError: when it cannot be read
    """
    path = folder / "vfs" / CONFIG
    try:
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise OtafleetError(f"cannot read {path}: {os_reason(error)}") from None
    except ValueError as error:
        raise OtafleetError(f"{path} is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise OtafleetError(f"{path} must hold one JSON object")
    return fields


def _json(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, indent=2).encode() + b"\n"
