"""Options that several commands share."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from agent.protocol.checks import is_name, is_version
from agent.protocol.errors import ProtocolError
from agent.protocol.host.topics import check_name, check_prefix
from broker_tools import broker_url, exits
from broker_tools.client import Client
from broker_tools.errors import OtafleetError, os_reason
from broker_tools.image import AppImage

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)


def checked(
    check: Callable[[str], str],
) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """Return a click callback that lets a value pass (or its absence) that `check` of the protocol accepts."""

    def callback(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        try:
            return value if value is None else check(value)
        except ProtocolError as error:
            raise click.BadParameter(f"{value!r}: {error.detail}", ctx, param) from None

    return callback


name = checked(check_name)
"""Callback for one name: of a key, a device, a project, a hardware revision."""


def broker(command: F) -> F:
    """Add --broker, --cafile and --prefix."""
    for option in (
        click.option(
            "--prefix",
            default="fleet",
            show_default=True,
            callback=checked(check_prefix),
            help="First part of every topic.",
        ),
        click.option(
            "--cafile",
            envvar="OTAFLEET_CAFILE",
            type=FILE,
            help="Certificates to trust for mqtts:// instead of the system's (PEM).",
        ),
        click.option(
            "--broker",
            envvar="OTAFLEET_BROKER",
            default=broker_url.DEFAULT,
            show_default=True,
            show_envvar=True,
            help="mqtt://[user@]host[:port] or mqtts://...; the password may come from OTAFLEET_PASSWORD.",
        ),
    ):
        command = option(command)
    return command


store = click.option(
    "--store",
    "store_url",
    envvar="OTAFLEET_STORE",
    show_envvar=True,
    help="Store by URL; default: a file in the home.",
)

json_lines = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


def project(given: str | None, image: AppImage, file: Path) -> str:
    """Return the project that is given, else the one that the image names. Raises OtafleetError without any."""
    return _known(given, image.project, is_name(image.project), "project", file)


def version(given: str | None, image: AppImage, file: Path) -> str:
    """Return the version that is given, else the one that the image names. Raises OtafleetError without any."""
    return _known(given, image.version, is_version(image.version), "version", file)


def make_client(broker: str, cafile: Path | None) -> Client:
    """Return an unopened client for these options.

    Raises OtafleetError for a bad URL or certificate file.
    """
    url = broker_url.parse(broker)
    return Client(url, tls=_context(cafile) if url.tls else None)


def _context(cafile: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=cafile)
    except ssl.SSLError:
        raise OtafleetError(f"{cafile} holds no certificate in PEM form") from None
    except OSError as error:
        raise OtafleetError(f"cannot read {cafile}: {os_reason(error)}") from None


def _known(given: str | None, said: str, usable: bool, what: str, file: Path) -> str:
    """Return the option, else what the image says of itself, else raise an error that names the option."""
    if given is not None:
        return given
    if usable:
        return said
    why = f"names a {what} that the protocol does not allow" if said else f"does not name its {what}"
    message = f"{file} {why} (stock MicroPython leaves it empty): give --{what}"
    raise OtafleetError(message, exits.USAGE)
