"""Make a twin, run it, look at what it printed."""

import threading

from firmware.twin import Twin, make_image

LIMIT_S = 30


def make(folder, main=None, *, image=None, files=None, **options):
    """A new twin with that main.py (source text)."""
    files = dict(files or {})
    if main is not None:
        files["main.py"] = main.encode()
    Twin.create(folder, image or make_image(None, "bench", "1"), files=files, **options).close()
    return Twin(folder)


def run(twin, *, resets=0, until=None):
    """Power it on until it resets once more than that, or prints the line ``until``. What it printed,
    without the lines of the twin's own."""
    lines = []

    def log(line):
        lines.append(line)
        if line == until:
            twin.stop()

    twin.log = log
    twin.boot_s = 0
    late = []
    limit = threading.Timer(LIMIT_S, lambda: (late.append(True), twin.stop()))
    limit.start()
    try:
        twin.run(resets=resets)
    finally:
        limit.cancel()
        limit.join()
    assert not late, "\n".join(["neither a reset nor the line that was waited for:", *lines])
    return [line for line in lines if not line.startswith("--- ")]


def once(folder, main, **options):
    """Make a twin, run it until it resets, and give what it printed."""
    twin = make(folder, main + "\nimport machine\nmachine.reset()\n", **options)
    try:
        return run(twin)
    finally:
        twin.close()
