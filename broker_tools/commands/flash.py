"""`otafleet flash`: sets a board up over USB."""

import os
import ssl
import sys
from pathlib import Path

import rich_click as click

from agent.protocol.checks import is_host
from agent.protocol.host.topics import check_prefix
from broker_tools import broker_url, exits, home, keys
from broker_tools import image as images
from broker_tools.broker_url import BrokerUrl
from broker_tools.commands import options
from broker_tools.display import Display
from broker_tools.errors import OtafleetError
from broker_tools.flash import agent_only as files_only
from broker_tools.flash import firmware as firmwares
from broker_tools.flash import setup
from broker_tools.flash.bootloader import ADDRESSES
from broker_tools.flash.esptool import Esptool
from broker_tools.flash.files import Wishes
from broker_tools.provision import Settings

WIFI_KEY = "OTAFLEET_WIFI_KEY"
SSID_MAX = 32
"""Longest name of a network, in bytes (IEEE 802.11)."""
FLOOR_MAX = 2**31 - 1
LOCAL = ("localhost", "::1")
FILE_MAX = 256 * 1024
"""Longest --app and --cafile, in bytes: with the agent they have to fit the smallest file system."""


def _network(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not 0 < len(value.encode()) <= SSID_MAX:
        raise click.BadParameter(f"a network's name has 1 to {SSID_MAX} bytes", ctx, param)
    return value


def _names(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        options.name(ctx, param, value)
    return values


def _hosts(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> list[str]:
    hosts = [value.lower() for value in values]
    for host in hosts:
        if not is_host(host):
            raise OtafleetError(
                f"--web-host {host!r} is no name of a host: leave scheme, port and path out, such as images.example",
                exits.USAGE,
            )
    return hosts


@click.command()
@click.argument("port")
@click.argument("firmware", type=options.FILE, required=False)
@click.option("--device", callback=options.name, help="Id of the device; a new board needs one.")
@click.option("--project", callback=options.name, help="Project of the device; a new board needs one.")
@click.option("--hardware", callback=options.name, help="Hardware revision, for releases that name some.")
@click.option(
    "--broker",
    help="mqtt://[user@]host[:port] as the board reaches it; the password may come from OTAFLEET_PASSWORD.",
)
@click.option(
    "--prefix", callback=options.checked(check_prefix), help="First part of every topic; default: fleet."
)
@click.option(
    "--key",
    "key_names",
    multiple=True,
    callback=_names,
    help="Public key that it trusts (repeatable); default of a new board: every key in the home.",
)
@click.option(
    "--floor", type=click.IntRange(0, FLOOR_MAX), help="Lowest sequence of a release that it takes."
)
@click.option(
    "--wifi-ssid", callback=_network, help="Wi-Fi that it joins; without one that is the app's job."
)
@click.option(
    "--wifi-key",
    envvar=WIFI_KEY,
    show_envvar=True,
    help="Key of that Wi-Fi; better in the variable, or asked for: a command line can be seen by others.",
)
@click.option(
    "--web-host",
    "web_hosts",
    multiple=True,
    callback=_hosts,
    help="Web server that it may ask for images (repeatable); default of a new board: none.",
)
@click.option(
    "--cafile",
    type=options.FILE,
    help="Certificates (PEM) for its /otafleet/ca.pem: whom it trusts over https.",
)
@click.option(
    "--app", type=options.FILE, help="Program for its /main.py; default of a new board: the agent alone."
)
@click.option("--erase-files", is_flag=True, help="Begin with an empty file system, whatever it holds.")
@click.option(
    "--agent-only", is_flag=True, help="Update only the files of a board that is set up; no FIRMWARE."
)
@click.option(
    "--dry-run", is_flag=True, help="Look at the board and say what would be written where; write nothing."
)
@click.option(
    "--chip", type=click.Choice(sorted(ADDRESSES)), help="Chip that it must be; default: the firmware's."
)
@click.option(
    "--baud", type=click.IntRange(9600, 4_000_000), default=460_800, show_default=True, help="Speed."
)
@options.json_lines
def command(
    port: str,
    firmware: Path | None,
    device: str | None,
    project: str | None,
    hardware: str | None,
    broker: str | None,
    prefix: str | None,
    key_names: tuple[str, ...],
    floor: int | None,
    wifi_ssid: str | None,
    wifi_key: str | None,
    web_hosts: list[str],
    cafile: Path | None,
    app: Path | None,
    erase_files: bool,
    agent_only: bool,
    dry_run: bool,
    chip: str | None,
    baud: int,
    as_json: bool,
) -> None:
    """Set up the board on PORT with FIRMWARE: our build, or a MicroPython download as it comes from the web.

    Writes the bootloader, a partition table with two OTA slots, the app, and files: the agent, its guard and who the
    board is. Files that are on the board stay; a board that was set up before keeps what no option changes.
    """
    if (firmware is None) != agent_only:
        message = "--agent-only takes no FIRMWARE" if firmware else "name a FIRMWARE, or give --agent-only"
        raise OtafleetError(message, exits.USAGE)
    if agent_only and (erase_files or dry_run):
        raise OtafleetError("--agent-only goes with neither --erase-files nor --dry-run", exits.USAGE)
    where = home.path()
    wishes = Wishes(
        settings=Settings(
            device=device,
            project=project,
            broker=_broker(broker),
            prefix=prefix,
            keys=[keys.load_public(where, name) for name in key_names] or None,
            hardware=hardware,
            floor=floor,
            wifi=_wifi(wifi_ssid, wifi_key),
            hosts=web_hosts or None,
        ),
        keys=keys.public_keys(where),
        app=_file(app) if app else None,
        certificates=_certificates(cafile) if cafile else None,
    )
    with Display(as_json) as show:
        if firmware is None:
            files_only.update(files_only.Mpremote(port), wishes, show)
            return
        loaded = firmwares.load(firmware)
        if chip is not None and chip != loaded.chip:
            raise OtafleetError(f"{firmware} is for {loaded.chip}, not {chip}")
        job = setup.Job(loaded, wishes, erase_files=erase_files, dry_run=dry_run)
        setup.run(Esptool(port, baud), job, show)


def _broker(text: str | None) -> BrokerUrl | None:
    if text is None:
        return None
    url = broker_url.parse(text)
    if url.tls:
        raise OtafleetError("the agent connects without TLS so far: name an mqtt:// broker", exits.USAGE)
    if url.host in LOCAL or url.host.startswith("127."):
        raise OtafleetError(
            f"{url.host} is the board itself to the board: name the broker's address in its network",
            exits.USAGE,
        )
    return url


def _wifi(ssid: str | None, key: str | None) -> dict[str, str] | None:
    if ssid is None:
        if key is not None and key != os.environ.get(WIFI_KEY):
            raise OtafleetError("--wifi-key goes with --wifi-ssid", exits.USAGE)
        return None
    if key is None and WIFI_KEY in os.environ:
        key = ""  # click takes an empty variable for none
    if key is None:
        if not sys.stdin.isatty():
            raise OtafleetError(
                f"put the key of {ssid} into {WIFI_KEY} (nothing, if it is open)", exits.USAGE
            )
        key = click.prompt(
            f"Key of {ssid} (none, if it is open)", hide_input=True, default="", show_default=False
        )
    return {"ssid": ssid, "key": key}


def _file(path: Path) -> bytes:
    data = images.read_file(path)
    if len(data) > FILE_MAX:
        raise OtafleetError(f"{path} is longer than {FILE_MAX:,} bytes", exits.USAGE)
    return data


def _certificates(path: Path) -> bytes:
    data = _file(path)
    try:
        ssl.create_default_context(cadata=data.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError):
        raise OtafleetError(f"{path} holds no certificate in PEM form") from None
    return data
