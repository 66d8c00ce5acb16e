# From reset to the end of main.py, in the order of MicroPython's ports/esp32/main.c.
import os
import sys
from time import sleep_ms


def _run(path, names):
    # As the firmware does: False when the file raised; a file that isn't there counts as run.
    try:
        os.stat(path)
    except OSError as error:
        if error.errno == 2:  # ENOENT
            return True
        # A fault of the computer around the twin, which must not be taken for an empty board.
        sys.print_exception(error)
        return False
    try:
        execfile(path, names)
        return True
    except SystemExit:
        raise
    except BaseException as error:
        sys.print_exception(error)
        return False


def start(names):
    from _install import main

    names.clear()
    names["__name__"] = "__main__"
    try:
        if _run("/boot.py", names):
            _run(main, names)
        print("twin: main.py has ended, the REPL waits")
        while True:
            sleep_ms(60000)
    except SystemExit:
        import machine

        machine._soft_reset()
