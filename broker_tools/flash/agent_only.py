"""Updates the files of a board that is set up and runs MicroPython, through mpremote, run as a program.

Files that differ are copied to a folder of their own, compared, and renamed into their places: a cable that is pulled
before changes nothing, and later the same command goes on. MicroPython runs neither /main.py nor the agent meanwhile.
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
from pathlib import Path, PurePosixPath
from typing import Any, Final

from broker_tools import provision
from broker_tools.errors import OtafleetError
from broker_tools.events import Event, Listener
from broker_tools.flash.files import AGENT, Wishes, choose
from broker_tools.flash.vfs import BLOCK
from broker_tools.text import clean, size_text

CONNECT_S: Final = 30
"""Seconds in which the board has to come to its prompt; mpremote itself waits for ten, twice."""
STEP_S: Final = 300
"""Seconds that one call of mpremote gets from then on: at 115200 baud the agent takes about 20."""
_NEW: Final = "/otafleet/new"
"""Where new files wait on the board for their turn."""
_MARK: Final = "otafleet:"
"""Begins the line in which a script of ours answers; whatever else the board prints is not for us."""

_TOOLS: Final = f"""
import binascii, hashlib, json, os
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
def clear(folder, but):
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        path = folder + "/" + name
        if os.stat(path)[0] & 0x4000:
            clear(path, but)
        elif path[1:] not in but:
            os.remove(path)
def digest(path):
    sha = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while True:
                block = file.read(512)
                if not block:
                    return binascii.hexlify(sha.digest()).decode()
                sha.update(block)
    except OSError:
        return None
def answer(what):
    print("{_MARK}" + json.dumps(what))
"""
_LOOK: Final = """
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
answer([read("/otafleet/device.json"), read("/boot.py"), read("/main.py"), place])
"""
_FREE: Final = f"""
remove("{_NEW}")
size, _, blocks, free = os.statvfs("/")[:4]
# vfs_lfsx.c counts a block that two files share twice, and so can arrive at less than none.
answer(size * free if 0 <= free <= blocks else 0)
"""
_SWITCH: Final = f"""
for path in NEW:
    at = path.find("/")
    while at > 0:
        try:
            os.mkdir("/" + path[:at])
        except OSError:
            pass
        at = path.find("/", at + 1)
    os.rename("{_NEW}/" + path, "/" + path)
clear("/{AGENT}", WHOLE)
remove("{_NEW}")
answer("done")
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
        found = re.search(rf"^{_MARK}(.*)$", self.run("resume", "exec", _TOOLS + script), re.MULTILINE)
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
    new = _different(board, files.contents)
    for path, data in new.items():
        say(Event("file", f"  /{path}, {size_text(len(data))}", {"path": "/" + path, "size": len(data)}))
    for note in files.notes:
        say(Event("note", note, {"note": note}))
    if board.ask(_FREE) < _room(new):
        say(Event("note", "there is no room for two agents: the old one goes first, keep the cable in"))
        # Its folders stay: they would have to find room again, beside those of the new one.
        board.ask(f'clear("/{AGENT}", ())\nanswer("cleared")')
        new = _different(board, files.contents)
        if board.ask(_FREE) < _room(new):
            raise OtafleetError(
                "the board's files leave no room for the agent: delete some of yours, run the same command again"
            )
    _copy(board, new)
    say(Event("verified", f"read back and compared: {len(new)} files", {"files": len(new)}))
    whole = [path for path in files.contents if path.startswith(AGENT + "/")]
    board.ask(f"NEW = {list(new)!r}\nWHOLE = {whole!r}\n{_SWITCH}")
    board.run("reset")
    say(Event("done", f"{files.config['id']} has its new files and restarts", {"device": files.config["id"]}))


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _different(board: Mpremote, files: Mapping[str, bytes], root: str = "") -> dict[str, bytes]:
    """The files that the board does not have, or not like this, under a folder."""
    digests = board.ask(f"answer([digest({root + '/'!r} + path) for path in {list(files)!r}])")
    return {
        path: data
        for (path, data), digest in zip(files.items(), digests, strict=True)
        if digest != hashlib.sha256(data).hexdigest()
    }


def _room(files: Mapping[str, bytes]) -> int:
    """Bytes that the files take: whole blocks, two for every folder, and a few that littlefs wants while it works."""
    folders = {parent for path in files for parent in PurePosixPath(_NEW, path).parents}
    return BLOCK * (sum(1 + len(data) // BLOCK for data in files.values()) + 2 * len(folders) + 8)


def _copy(board: Mpremote, files: Mapping[str, bytes]) -> None:
    if not files:
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / Path(_NEW).name
        for path, data in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        board.run("resume", "fs", "cp", "-r", str(root), ":" + _NEW.rpartition("/")[0] + "/")
    wrong = _different(board, files, _NEW)
    if wrong:
        raise OtafleetError(f"/{min(wrong)} did not arrive as it was sent: run the same command again")
