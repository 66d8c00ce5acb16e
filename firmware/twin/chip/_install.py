# Puts the chip's modules in place and swaps the file system for the device's own. A module, so that all of
# it can be forgotten when it has run.
import micropython
import os
import sys
import vfs

micropython.opt_level(3)  # without line numbers they are smaller; nobody debugs a chip's own modules

import esp32
import network
import _machine
import _socket

sys.modules["machine"] = _machine
sys.modules["socket"] = sys.modules["usocket"] = _socket
_, _folder, _root, main = sys.argv
vfs.umount("/")
vfs.mount(vfs.VfsPosix(_root), "/")
vfs.mount(vfs.VfsPosix(_folder + "/rom"), "/.chip")
if main:
    vfs.mount(vfs.VfsPosix(main), "/.app")
main = "/.app/main.py" if main else "/main.py"
os.chdir("/")
# /.chip stands for what a build freezes. It comes last, so that a genuine library in /lib wins.
sys.path[:] = ["", ".frozen", "/lib", "/.chip"]
sys.argv[:] = []
for _name in ("_boot", "_chip", "_install", "_machine", "_socket"):
    del sys.modules[_name]
micropython.opt_level(0)
