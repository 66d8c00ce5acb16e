"""The command as a whole: usage, and that nothing ever ends in a traceback."""

import contextlib
import os
import re
import subprocess

import pytest

from broker_tools import exits
from broker_tools.cli import main
from tests.support.paths import program


def test_help_names_every_command_and_the_exit_codes(offline):
    text = offline.ok("--help")
    for word in ("keys", "image", "publish", "monitor", "twin", "demo"):
        assert re.search(rf"\b{word}\b", text)
    assert "4 rolled back" in text
    assert offline.ok("-h") == text


def test_the_version(offline):
    assert re.search(r"\d+\.\d+\.\d+", offline.ok("--version"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("keys",),
        ("keys", "new"),
        ("image", "inspect"),
        ("publish",),
        ("publish", "app.bin", "--device", "kitchen"),
        ("publish", "app.bin", "--key", "k"),
        ("publish", "app.bin", "--key", "k", "--device", "a/b"),
        ("publish", "app.bin", "--key", "k", "--device", "+"),
        ("publish", "app.bin", "--key", "../k", "--device", "kitchen"),
        ("publish", "app.bin", "--key", "k", "--device", "kitchen", "--project", "a b"),
        ("publish", "app.bin", "--key", "k", "--device", "kitchen", "--version", "1 2"),
        ("publish", "app.bin", "--key", "k", "--device", "kitchen", "--version", ""),
        ("publish", "app.bin", "--key", "k", "--device", "kitchen", "--hardware", "a b"),
        ("publish", "app.bin", "--key", "k", "--device", "kitchen", "--floor", "later"),
        ("publish", "app.bin", "--key", "k", "--device", "kitchen", "--floor", "-1"),
        ("publish", "app.bin", "--key", "k", "--device", "kitchen", "--floor", "99999999999"),
        ("publish", "app.bin", "--key", "k", "--device", "kitchen", "--timeout", "0"),
        ("publish", "app.bin", "--key", "k", "--device", "kitchen", "--timeout", "nan"),
        ("publish", "app.bin", "--key", "k", "--device", "kitchen", "--confirm-s", "0"),
        ("publish", "app.bin", "--key", "k", "--device", "kitchen", "--confirm-s", "86401"),
        ("publish", "app.bin", "--key", "k", "--device", "kitchen", "--attempt", "65536"),
        ("publish", "app.bin", "--key", "k", "--device", "kitchen", "--prefix", "a/#"),
        ("monitor", "--broker", "http://x"),
        ("monitor", "--prefix", ""),
        ("monitor", "--prefix", "a/b/c/d"),
        ("monitor", "--nonsense"),
    ],
)
def test_wrong_use_is_exit_2_without_a_traceback(offline, home, arguments):
    result = offline.run(*arguments)
    assert result.returncode == exits.USAGE, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr or "Usage" in result.stdout
    assert not home.exists()


def test_a_fault_of_ours_is_one_line_and_the_traceback_only_on_demand(monkeypatch, capsys):
    def broken(_home):
        raise RuntimeError("two\nlines \x1b[2J")

    monkeypatch.setattr("broker_tools.keys.names", broken)
    with pytest.raises(SystemExit) as ended:
        main(["keys", "list"])
    assert ended.value.code == exits.FAILED
    said = capsys.readouterr().err
    assert said == (
        "otafleet: internal error, please report it: RuntimeError: two?lines ?[2J (OTAFLEET_DEBUG=1 shows where)\n"
    )
    monkeypatch.setenv("OTAFLEET_DEBUG", "1")
    with pytest.raises(RuntimeError):
        main(["keys", "list"])


def read_terminal(terminal):
    """What the program wrote, until it has closed its side."""
    shown = b""
    with os.fdopen(terminal, "rb", buffering=0) as stream, contextlib.suppress(OSError):
        # Linux ends a pseudo-terminal with EIO.
        while piece := stream.read(65536):
            shown += piece
    return shown.decode()


def test_publish_on_a_terminal_draws_a_bar(ready, device, image_file):
    """On a pseudo-terminal: the bar is there while chunks flow, and the last line is the outcome."""
    environment = {**os.environ, **ready.environment, "TERM": "xterm"}
    command = [program("otafleet"), "publish", str(image_file), "--key", "release", "--device", "kitchen"]
    terminal, inside = os.openpty()
    with subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, env=environment) as started:
        os.close(inside)
        offer = device.take()
        device.fetch(offer)
        device.run_new(offer)
        text = read_terminal(terminal)
        assert started.wait(20) == 0
    assert "sending" in text
    assert "\u2501" in text
    assert text.endswith("kitchen runs 1.4.0 from ota_1, confirmed VALID\r\n")


def test_publish_goes_on_when_nobody_reads_its_output(ready, device, image_file):
    arguments = ("publish", str(image_file), "--key", "release", "--device", "kitchen")
    environment = {**os.environ, **ready.environment, "PYTHONUNBUFFERED": ""}
    command = [program("otafleet"), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as started:
        started.stdout.readline()
        started.stdout.close()
        offer = device.take()
        device.fetch(offer)
        device.run_new(offer)
        assert started.wait(20) == 0
        assert started.stderr.read() == b""
