# What the twin's MicroPython runs first. Arguments: this folder, the device's root, and the folder with the
# running slot's program ("" when its image carries none).
import sys

sys.path[:] = [sys.argv[1]]
import _boot

_boot.start(globals())
