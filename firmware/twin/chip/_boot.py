# From reset to the end of main.py, in the order of MicroPython's ports/esp32/main.c.
import os
import sys
import time
import vfs


def _install(folder, root, app):
    import esp32
    import _machine
    import _socket
    import network

    sys.modules["machine"] = _machine
    sys.modules["socket"] = sys.modules["usocket"] = _socket
    vfs.umount("/")
    vfs.mount(vfs.VfsPosix(root), "/")
    vfs.mount(vfs.VfsPosix(folder + "/rom"), "/.chip")
    if app:
        vfs.mount(vfs.VfsPosix(app), "/.app")
    os.chdir("/")
    # /.chip stands for what a build freezes. It comes last, so that a genuine library in /lib wins.
    sys.path[:] = ["", ".frozen", "/lib", "/.chip"]


def _run(path, names):
    # As the firmware does: False when the file raised; a file that is missing counts as run.
    try:
        os.stat(path)
    except OSError:
        return True
    try:
        execfile(path, names)
        return True
    except SystemExit:
        raise
    except BaseException as error:
        sys.print_exception(error)
        return False


def start(names):
    _, folder, root, app = sys.argv
    _install(folder, root, app)
    main = "/.app/main.py" if app else "/main.py"
    del folder, root, app
    sys.argv[:] = []
    for name in ("_boot", "_chip", "_machine", "_socket"):
        del sys.modules[name]
    names.clear()
    names["__name__"] = "__main__"
    try:
        if _run("/boot.py", names):
            _run(main, names)
        print("MicroPython (twin): main.py has ended, the REPL waits")
        while True:
            time.sleep_ms(60000)
    except SystemExit:
        import machine

        machine._soft_reset()
