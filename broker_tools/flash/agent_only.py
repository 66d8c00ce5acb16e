"""Updates the files of a board that is set up and runs MicroPython, through mpremote, run as a program.

The new agent is copied beside the old one, compared, and takes its place by two renames: a cable that is pulled
before them changes nothing. MicroPython runs neither /main.py nor the agent while mpremote is connected.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from broker_tools import provision
from broker_tools.errors import OtafleetError
from broker_tools.events import Event, Listener
from broker_tools.flash.files import AGENT, Wishes, choose
from broker_tools.text import clean, size_text

CONNECT_S: Final = 30
"""Seconds in which the board has to come to its prompt; mpremote itself waits for ten, twice."""
STEP_S: Final = 300
"""Seconds that one call of mpremote gets from then on: at 115200 baud the agent takes about 20."""
_NEW: Final = "/otafleet/new"
"""Where new files wait on the board for their turn."""
_MARK: Final = "otafleet:"
"""Begins the line in which a script of ours answers; whatever else the board prints is not for us."""

_TOOLS: Final = """
import json, os
def remove(path):
    try:
        mode = os.stat(path)[0]
    except OSError:
        return
    if mode & 0x4000:
        for name in os.listdir(path):
            remove(path + "/" + name)
        os.rmdir(path)
    else:
        os.remove(path)
"""
_LOOK: Final = f"""
import json, sys
def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None
try:
    import agent
    place = getattr(agent, "__file__", "")
except ImportError:
    place = ""
print("{_MARK}" + json.dumps([read("/otafleet/device.json"), read("/boot.py"), read("/main.py"), place]))
"""
_DIGEST: Final = f"""
import binascii, hashlib, json
def digest(path):
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            block = file.read(512)
            if not block:
                return binascii.hexlify(sha.digest()).decode()
            sha.update(block)
print("{_MARK}" + json.dumps([digest("{_NEW}/" + path) for path in PATHS]))
"""
_SWITCH: Final = f"""
{_TOOLS}
def ensure(path):
    at = path.find("/", 1)
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError:
            pass
        at = path.find("/", at + 1)
for path in PATHS:
    ensure("/" + path)
    remove("/" + path)
    os.rename("{_NEW}/" + path, "/" + path)
remove("{_NEW}")
print("{_MARK}" + json.dumps("done"))
"""


class Mpremote:
    """A board on a serial port, at its prompt."""

    def __init__(self, port: str) -> None:
        """Find mpremote. Raises OtafleetError when it is not installed."""
        self._port = port
        beside = f"{sysconfig.get_path('scripts')}:{Path(sys.executable).parent}"
        program = shutil.which("mpremote", path=beside) or shutil.which("mpremote")
        if program is None:
            raise OtafleetError("mpremote is not installed: pip install 'otafleet[flash]'")
        self._program = program

    def ask(self, script: str) -> Any:
        """Run a script on the board and return what it answered. Raises OtafleetError."""
        found = re.search(rf"^{_MARK}(.*)$", self.run("resume", "exec", script), re.MULTILINE)
        if found is None:
            raise OtafleetError(f"the board on {self._port} did not answer: run the same command again")
        return json.loads(found[1])

    def run(self, *arguments: str, timeout: float = STEP_S) -> str:
        """Run one command. Raises OtafleetError with the last line of what went wrong."""
        try:
            result = subprocess.run(
                [self._program, "connect", self._port, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise OtafleetError(
                f"the board on {self._port} says nothing: press its reset button, try again"
            ) from None
        except OSError as error:
            raise OtafleetError(f"cannot run {self._program}: {error}") from None
        if result.returncode:
            lines = [line for line in result.stdout.splitlines() if line.strip()]
            reason = clean(lines[-1].removeprefix("mpremote: ") if lines else "mpremote gave no reason", 200)
            raise OtafleetError(f"{self._port}: {reason}")
        return result.stdout


def update(board: Mpremote, wishes: Wishes, say: Listener) -> None:
    """Give the board the agent and the guard of this package, and what `wishes` tell it.

    :raises OtafleetError: when it is not set up, when it runs a frozen agent, or when a file does not arrive
    """
    # Without this the app that the board runs would go on between two calls: mpremote interrupts it, resets the
    # interpreter, and every later call resumes at the same prompt.
    board.run("soft-reset", timeout=CONNECT_S)
    config, boot, main, place = board.ask(_LOOK)
    if config is None:
        raise OtafleetError("this board has not been set up yet: otafleet flash it with a firmware first")
    known = {provision.CONFIG: config, "boot.py": boot, "main.py": main}
    has_agent = bool(place) and not place.startswith("/")
    files = choose(wishes, lambda path: _bytes(known.get(path)), has_agent=has_agent)
    new = {path: data for path, data in files.contents.items() if _bytes(known.get(path)) != data}
    for path, data in new.items():
        say(Event("file", f"  /{path}, {size_text(len(data))}", {"path": "/" + path, "size": len(data)}))
    for note in files.notes:
        say(Event("note", note, {"note": note}))
    _copy(board, new)
    _compare(board, new)
    say(Event("verified", f"read back and compared: {len(new)} files", {"files": len(new)}))
    switched = sorted({AGENT if path.startswith(AGENT + "/") else path for path in new})
    board.ask(f"PATHS = {switched!r}\n{_SWITCH}")
    board.run("reset")
    say(Event("done", f"{files.config['id']} has its new files and restarts", {"device": files.config["id"]}))


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _copy(board: Mpremote, files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "new"
        for path, data in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        board.ask(f'{_TOOLS}remove("{_NEW}")\nprint("{_MARK}0")')
        board.run("resume", "fs", "cp", "-r", str(root), ":" + _NEW.rpartition("/")[0] + "/")


def _compare(board: Mpremote, files: Mapping[str, bytes]) -> None:
    digests = board.ask(f"PATHS = {list(files)!r}\n{_DIGEST}")
    for (path, data), digest in zip(files.items(), digests, strict=True):
        if digest != hashlib.sha256(data).hexdigest():
            raise OtafleetError(f"/{path} did not arrive as it was sent: run the same command again")
