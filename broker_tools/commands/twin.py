"""`otafleet twin`: a device without a board."""

import hashlib
import json
import re
import signal
import socket
import threading
from pathlib import Path

import rich_click as click

from agent.protocol.checks import is_version
from agent.protocol.host.topics import check_prefix
from broker_tools import broker_url, exits, home, keys, provision, twins
from broker_tools.broker_url import BrokerUrl
from broker_tools.commands import options, twin_powercut
from broker_tools.errors import OtafleetError, os_reason
from broker_tools.image import load_exact
from broker_tools.text import clean, size_text

LINE_MAX = 400
"""Longest line of a twin's console that is shown, in characters."""
CONNECT_S = 2
"""Seconds that a broker gets to answer before the user is told that it does not."""
CODE_MAX = 1024 * 1024
"""Longest program that an image for a twin takes, in bytes."""


def _heap(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,5}[km]", value.lower()):
        message = f"{value!r}: write a number of kilobytes or megabytes, such as 128k"
        raise click.BadParameter(message, ctx, param)
    return value.lower()


def _version(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not is_version(value) or len(value) > twins.DESCRIPTOR_NAME_MAX:
        message = f"{value!r}: 1 to {twins.DESCRIPTOR_NAME_MAX} letters, digits and . _ + - are allowed"
        raise click.BadParameter(message, ctx, param)
    return value


def _names(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        options.name(ctx, param, value)
    return values


@click.group()
def command() -> None:
    """Run digital twins of devices, and make images for them."""


command.add_command(twin_powercut.command, "powercut")


@command.command()
@click.option("--device", callback=options.name, required=True, help="Id of the device.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder with the twin's flash and files; made when it is not there.",
)
@click.option("--image", "image_file", type=options.FILE, help="App image that a new twin starts with.")
@click.option("--project", callback=options.name, help="Project of the device; default of a new twin: demo.")
@click.option(
    "--key",
    "key_names",
    multiple=True,
    callback=_names,
    help="Public key that it trusts (repeatable); default of a new twin: every key in the home.",
)
@click.option("--heap", callback=_heap, default="128k", show_default=True, help="Heap of its MicroPython.")
@click.option(
    "--flash-timing", is_flag=True, help="Let the flash take its time: 45 ms for each sector it erases."
)
@click.option(
    "--rtt",
    "rtt_ms",
    type=click.IntRange(0, 10_000),
    metavar="MS",
    default=0,
    help="Round trip time between it and its broker, in milliseconds.",
)
@click.option(
    "--power-cut-after",
    type=click.IntRange(1),
    metavar="N",
    default=None,
    help="Cut the power once, in the middle of its Nth flash or NVS operation from now.",
)
@click.option(
    "--broker",
    envvar="OTAFLEET_BROKER",
    show_envvar=True,
    help=f"mqtt://[user@]host[:port]; default of a new twin: {broker_url.DEFAULT}.",
)
@click.option(
    "--prefix",
    callback=options.checked(check_prefix),
    help="First part of every topic; default of a new twin: fleet.",
)
@options.json_lines
def run(
    device: str,
    folder: Path,
    image_file: Path | None,
    project: str | None,
    key_names: tuple[str, ...],
    heap: str,
    flash_timing: bool,
    rtt_ms: int,
    power_cut_after: int | None,
    broker: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Run the digital twin of a device until Ctrl-C, and show its console.

    It is the real agent on a real MicroPython over a flash file. What it is told here is kept in
    DIR/vfs/otafleet/device.json; a later run needs no more than --device and --dir.
    """
    is_new = not twins.exists(folder)
    app = load_exact(image_file)[0].data if image_file else None
    settings = provision.Settings(
        device=device,
        project=project,
        broker=_broker(broker, is_new),
        prefix=prefix,
        keys=_keys(folder, key_names),
    )
    twins.provision(folder, settings, app=app)
    say = _say_json if as_json else _say
    fields = twins.read_config(folder)
    trusted = ", ".join(key["kid"] for key in fields["keys"])
    say("twin", f"twin {device} in {folder}, broker {fields['broker']}, trusts {trusted or 'no key'}")
    if not trusted:
        say("note", "it will refuse every update: make a key with otafleet keys new NAME, and start it again")
    silence = _unreachable(fields["broker"])
    if silence:
        say("note", f"no broker at {fields['broker']} yet: {silence}; the twin goes on trying")
    twins.run(
        folder,
        heap=heap,
        flash_timing=flash_timing,
        rtt_ms=rtt_ms,
        power_cut_after=power_cut_after or 0,
        stop=_signals(),
        log=lambda line: say("console", line),
    )


@command.command()
@click.argument("file", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--app",
    type=click.Path(path_type=Path),
    help="Program that it runs; default: the agent and nothing else.",
)
@click.option("--project", callback=options.name, required=True, help="Project that the image names.")
@click.option("--version", callback=_version, required=True, help="Version that the image names.")
@click.option(
    "--chip", type=click.Choice(twins.CHIPS), default="esp32", show_default=True, help="Chip that it is for."
)
@click.option("--size", type=click.IntRange(0, 0x3F0000), default=0, help="Bytes that it has at least.")
@options.json_lines
def image(
    file: Path, app: Path | None, project: str, version: str, chip: str, size: int, as_json: bool
) -> None:
    """Make OUT, an app image for twins: a genuine ESP image that carries the program its app runs."""
    code = _code(app) if app else provision.agent_file("main.py")
    data = twins.image(code, project, version, chip=chip, size=size)
    try:
        file.write_bytes(data)
    except OSError as error:
        raise OtafleetError(f"cannot write {file}: {os_reason(error)}") from None
    digest = hashlib.sha256(data).hexdigest()
    found = {"file": str(file), "size": len(data), "sha256": digest, "project": project, "version": version}
    if as_json:
        click.echo(json.dumps({**found, "chip": chip}))
    else:
        click.echo(f"{file}: {project} {version} for {chip}, {size_text(len(data))}, sha256 {digest}")


def _broker(text: str | None, is_new: bool) -> BrokerUrl | None:
    if text is None and not is_new:
        return None
    url = broker_url.parse(text or broker_url.DEFAULT)
    if url.tls:
        raise OtafleetError("a twin connects without TLS: name an mqtt:// broker", exits.USAGE)
    return url


def _signals() -> threading.Event:
    """Return an event that Ctrl-C and SIGTERM set from now on.

    A KeyboardInterrupt would not do: one that comes while the twin forks is printed and forgotten by Python.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _unreachable(url: str) -> str:
    """Return why nobody answers where the twin will connect to, or ""."""
    broker = broker_url.parse(url)
    try:
        socket.create_connection((broker.host, broker.port), timeout=CONNECT_S).close()
    except OSError as error:
        return os_reason(error)
    return ""


def _keys(folder: Path, names: tuple[str, ...]) -> list[dict[str, str]] | None:
    """Keys to trust: those named; all of the home for a twin that has none yet; None leaves them as they are."""
    where = home.path()
    if names:
        return [keys.load_public(where, name) for name in names]
    if twins.exists(folder) and twins.read_config(folder).get("keys"):
        return None
    return keys.public_keys(where)


def _code(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            code = file.read(CODE_MAX + 1)
    except OSError as error:
        raise OtafleetError(f"cannot read {path}: {os_reason(error)}") from None
    if len(code) > CODE_MAX:
        raise OtafleetError(f"{path} is longer than {size_text(CODE_MAX)}", exits.USAGE)
    return code


def _say(_kind: str, text: str) -> None:
    click.echo(clean(text, LINE_MAX))


def _say_json(kind: str, text: str) -> None:
    click.echo(json.dumps({"event": kind, "text": text}))
