# What the twin's MicroPython runs first: it puts the chip's modules in place, swaps the file system for
# the device's own and hands over to boot.py and main.py. Arguments: this folder, the device's
# root, and the folder with the running slot's code ("" when the image carries none).
import sys

sys.path[:] = [sys.argv[1]]
import _boot

_boot.start(globals())
