"""Digital twins as this package sets them up: a flash with an image in it, and the files of a provisioned board.

A folder holds one twin: `flash.bin`, and `vfs/`, which is what the board sees as its root.
"""

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from broker_tools import exits
from broker_tools.errors import OtafleetError, os_reason
from broker_tools.provision import CONFIG, DEFAULTS, Settings, agent_file, agent_files, decode, encode
from firmware.twin import chips
from firmware.twin.errors import TwinError
from firmware.twin.flash import PowerCut
from firmware.twin.image import make_image
from firmware.twin.twin import Twin

FIRST_VERSION = "1.0"
CHIPS = tuple(chips.CHIPS)
DESCRIPTOR_NAME_MAX = 31
"""Longest version or project that an app descriptor holds, in bytes (esp_app_desc_t, with its final zero)."""
WIFI = {"ssid": "twin", "key": ""}
"""The network in the air around a twin; any other can't be reached."""


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
    rtt_ms: int = 0,
    power_cut_after: int = 0,
    stop: threading.Event | None = None,
    log: Callable[[str], None] | None = None,
) -> None:
    """Run the twin in `folder` until `stop` is set, or SIGTERM or Ctrl-C comes.

    :param rtt_ms: round trip time between it and its broker, in milliseconds
    :param power_cut_after: the flash operation, from 1, in the middle of which the power goes and comes back; 0: none
    :param log: called with every line of its console
    :raises OtafleetError: when there is none, when it runs already, or when nothing in its flash boots
    """
    with _one_line(folder), closing(Twin(folder, heap, flash_timing, log, rtt_ms / 1000)) as twin:
        if power_cut_after:
            twin.flash.power_cut = PowerCut(power_cut_after)
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
    fields = settings.apply({**DEFAULTS, "wifi": WIFI})
    made = Twin.create(
        folder,
        app or image(None, fields["project"], FIRST_VERSION, chip=chip),
        chip=chip,
        files={
            "boot.py": agent_file("boot.py"),
            "main.py": agent_file("main.py"),
            CONFIG: encode(fields),
            **agent_files(),
        },
        libs=libs,
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
        path.write_bytes(encode(told))
    _renew(folder / "vfs")


def _renew(root: Path) -> None:
    """Bring the agent and its guard to the age of this package."""
    library = root / "lib" / "agent"
    if library.is_symlink():
        library.unlink()
    elif library.exists():
        shutil.rmtree(library)
    for name, content in {**agent_files(), "boot.py": agent_file("boot.py")}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def read_config(folder: Path) -> dict[str, Any]:
    """Return what the twin's device.json says.

    :raises OtafleetError: when it cannot be read
    """
    path = folder / "vfs" / CONFIG
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OtafleetError(f"cannot read {path}: {os_reason(error)}") from None
    return decode(data, str(path))
