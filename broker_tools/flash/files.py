"""What a board's file system is to hold: the agent, its guard, the default app, and who the board is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from broker_tools import exits, provision
from broker_tools.errors import OtafleetError
from broker_tools.provision import Settings

AGENT: Final = "lib/agent"
CERTIFICATES: Final = "otafleet/ca.pem"
SAVED_BOOT: Final = "boot.py.old"
"""Where a boot.py that somebody wrote is moved to: the guard takes its place."""
_GUARD: Final = b'"""The guard,'
"""How every version of the guard begins."""
_NEEDED: Final = {"id": "--device", "project": "--project", "broker": "--broker"}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user wants on the board."""

    settings: Settings
    keys: Sequence[Mapping[str, str]] = ()
    """What a board that knows no key yet trusts, unless the settings say."""
    app: bytes | None = None
    """Its /main.py; None keeps the one that is there, or gives it the default app."""
    certificates: bytes | None = None
    """PEM."""


@dataclass(frozen=True, slots=True)
class Files:
    """Paths from the board's root and what they are to hold, and what the user should know of it."""

    contents: dict[str, bytes]
    config: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def choose(wishes: Wishes, read: Callable[[str], bytes | None], *, has_agent: bool) -> Files:
    """Return what to write.

    :param read: returns what a file of the board holds now, None where there is none
    :param has_agent: whether the agent is frozen in the firmware
    :raises OtafleetError: when the board would not know who it is, or is another one
    """
    config = _config(wishes, read(provision.CONFIG))
    files = Files({provision.CONFIG: provision.encode(config)}, config)
    if has_agent:
        files.notes.append("the agent is in the firmware: no copy goes to /lib")
    else:
        files.contents.update(provision.agent_files())
    _boot(files, read("boot.py"))
    _main(files, wishes.app, read("main.py"))
    if wishes.certificates is not None:
        files.contents[CERTIFICATES] = wishes.certificates
    if not config.get("wifi"):
        files.notes.append("no Wi-Fi is given: the agent waits until the app has connected the board")
    return files


def _config(wishes: Wishes, known: bytes | None) -> dict[str, Any]:
    old: dict[str, Any] = {}
    if known is not None:
        old = provision.decode(known, f"the board's /{provision.CONFIG}")
    settings, device = wishes.settings, old.get("id")
    if device and settings.device and settings.device != device:
        raise OtafleetError(
            f"this board is the device {device}: leave --device out, "
            f"or give --erase-files to make it {settings.device}",
            exits.USAGE,
        )
    # A board has no project by default: it would take the updates of another one's.
    start = {**provision.DEFAULTS, "project": None, "wifi": None} if known is None else old
    config = settings.apply(start)
    missing = [option for name, option in _NEEDED.items() if not config.get(name)]
    if missing:
        raise OtafleetError(f"this board has not been set up yet: say {', '.join(missing)}", exits.USAGE)
    if not config.get("keys"):
        config["keys"] = list(wishes.keys)
    if not config["keys"]:
        raise OtafleetError(
            "the board would trust no key, and refuse every update: make one with otafleet keys new NAME",
            exits.USAGE,
        )
    return config


def _boot(files: Files, old: bytes | None) -> None:
    files.contents["boot.py"] = provision.agent_file("boot.py")
    lines = [line.strip() for line in (old or b"").splitlines()]
    if old and not old.startswith(_GUARD) and any(line and not line.startswith(b"#") for line in lines):
        files.contents[SAVED_BOOT] = old
        files.notes.append(f"your /boot.py is now /{SAVED_BOOT}: move what it did to /main.py")


def _main(files: Files, app: bytes | None, old: bytes | None) -> None:
    default = provision.agent_file("main.py")
    if app is not None:
        files.contents["main.py"] = app
    elif old is None:
        files.contents["main.py"] = default
    elif b"agent" not in old:
        files.notes.append("your /main.py is kept; it has to run the agent (docs/boards.md), or give --app")
