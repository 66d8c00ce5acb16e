"""A board's file system, read by a real MicroPython as the board would read it."""

from pathlib import Path

from tests.support.micropython import micropython_output

# Mounts the littlefs in a file and copies everything in it to a folder of this machine.
_COPY = """
import os, sys, vfs
class Flash:
    def __init__(self, data):
        self.data = data
    def readblocks(self, block, buffer, offset=0):
        at = block * 4096 + offset
        buffer[:] = self.data[at : at + len(buffer)]
    def writeblocks(self, block, buffer, offset=0):
        raise OSError(30)
    def ioctl(self, request, value):
        return {4: len(self.data) // 4096, 5: 4096}.get(request, 0)
with open(sys.argv[1], "rb") as file:
    data = file.read()
vfs.mount(Flash(data), "/board")  # it has to find out by itself what file system this is
def copy(path, target):
    os.mkdir(target)
    for name, mode, *_ in os.ilistdir(path):
        if mode == 0x4000:
            copy(path + "/" + name, target + "/" + name)
        else:
            with open(path + "/" + name, "rb") as source, open(target + "/" + name, "wb") as file:
                file.write(source.read())
copy("/board", sys.argv[2])
"""


def extract(files: bytes, folder: Path) -> None:
    """Copy the files of a file system into `folder`, which is made. Raises AssertionError when it does not mount."""
    source = folder.parent / "files.littlefs"
    source.write_bytes(files)
    micropython_output(_COPY, source, folder, heap="8m")
