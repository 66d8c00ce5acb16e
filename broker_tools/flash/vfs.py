"""The board's file system, made and changed on this machine.

littlefs 2 with the parameters of MicroPython's ESP32 port (extmod/vfs_lfs.c and vfs_lfsx.c, v1.28: blocks of 4096
bytes, reads and writes of 32, lookahead 32). A new one has the on-disk version 2.0, which every littlefs 2 mounts; one
that is changed keeps the version that it has.
"""

from collections.abc import Mapping
from typing import Final

from broker_tools.errors import OtafleetError

BLOCK: Final = 4096
HEAD: Final = 2 * BLOCK
"""As much of a file system as `kind` needs to see."""
_MAGIC: Final = b"littlefs"
_MAGIC_OFFSET: Final = 8
"""Where littlefs 2 has it in blocks 0 and 1 (littlefs' SPEC.md); littlefs 1 has it further on."""
_VERSION: Final = 0x00020000


def kind(head: bytes) -> str:
    """Name the file system that begins with `head`.

    "littlefs" is one that `Volume` can open; "other" is any that it can't, such as FAT; "" is none.
    """
    for block in (head[:BLOCK], head[BLOCK:HEAD]):
        at = block.find(_MAGIC, 0, 64)
        if at >= 0:
            return "littlefs" if at == _MAGIC_OFFSET else "other"
    # The signature of a boot sector, which FAT has too.
    return "other" if head[510:512] == b"\x55\xaa" else ""


class Volume:
    """A file system in memory; `data` is what goes into flash."""

    def __init__(self, size: int, data: bytes | None = None) -> None:
        """Open `data`, or make an empty file system of `size` bytes.

        Raises OtafleetError when it can't be opened, or when the library is missing.
        """
        try:
            from littlefs import LittleFS, LittleFSError, UserContext
        except ImportError:
            raise OtafleetError("littlefs-python is not installed: pip install 'otafleet[flash]'") from None
        self._error = LittleFSError
        context = UserContext(size)
        self._buffer = context.buffer
        if data is not None:
            self._buffer[:] = data

        def opened(version: int) -> LittleFS:
            return LittleFS(
                context,
                mount=False,
                block_size=BLOCK,
                block_count=size // BLOCK,
                read_size=32,
                prog_size=32,
                cache_size=128,
                lookahead_size=32,
                name_max=255,
                disk_version=version,
            )

        try:
            if data is None:
                self._fs = opened(_VERSION)
                self._fs.format()
            else:
                # Its version is in it, and would be raised to the library's own by the first write.
                found = opened(0)
                found.mount()
                self._fs = opened(found.fs_stat().disk_version)
                found.unmount()
            self._fs.mount()
        except LittleFSError as error:
            raise OtafleetError(
                f"the board's file system is damaged or of another make ({error}): "
                "copy what you can (mpremote cp -r : DIR), then give --erase-files"
            ) from None

    @property
    def data(self) -> bytes:
        """The bytes of the whole file system."""
        return bytes(self._buffer)

    def read(self, path: str) -> bytes | None:
        """Return what a file holds; None when there is none."""
        try:
            with self._fs.open("/" + path, "rb") as file:
                return bytes(file.read())
        except (self._error, OSError):
            return None

    def update(self, files: Mapping[str, bytes], whole: str = "") -> list[str]:
        """Write the files that are not there yet as they should be, and return their paths.

        :param whole: a folder in which nothing but these files is to stay
        :raises OtafleetError: when there is no room
        """
        changed = []
        try:
            if whole:
                self._clear(whole, files)
            for path, content in files.items():
                if self.read(path) != content:
                    self._write(path, content)
                    changed.append(path)
        except (self._error, OSError) as error:
            raise OtafleetError(f"the board's file system takes no more files: {error}") from None
        return changed

    def _write(self, path: str, content: bytes) -> None:
        folder = path.rpartition("/")[0]
        if folder:
            self._fs.makedirs("/" + folder, exist_ok=True)
        with self._fs.open("/" + path, "wb") as file:
            file.write(content)

    def _clear(self, folder: str, files: Mapping[str, bytes]) -> None:
        try:
            found = [
                f"{place}/{name}".lstrip("/")
                for place, _, names in self._fs.walk("/" + folder)
                for name in names
            ]
        except self._error:
            return
        for path in found:
            if path not in files:
                self._fs.remove("/" + path)


def runs(before: bytes, after: bytes) -> list[tuple[int, bytes]]:
    """Return what has to be written to turn `before` into `after`: offsets and whole blocks."""
    found: list[tuple[int, bytes]] = []
    for at in range(0, len(after), BLOCK):
        block = after[at : at + BLOCK]
        if block == before[at : at + BLOCK]:
            continue
        if found and found[-1][0] + len(found[-1][1]) == at:
            found[-1] = found[-1][0], found[-1][1] + block
        else:
            found.append((at, block))
    return found
