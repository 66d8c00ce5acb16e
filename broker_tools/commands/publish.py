"""`otafleet publish`: update one device."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import rich_click as click

from agent.protocol import limits
from agent.protocol.checks import is_version
from broker_tools import delivery, exits, home, keys
from broker_tools.broker_store import BrokerStore
from broker_tools.client import Client
from broker_tools.commands import options
from broker_tools.content import AUTO, ENCODINGS
from broker_tools.display import Display
from broker_tools.errors import OtafleetError
from broker_tools.events import Event, Listener
from broker_tools.image import load_exact
from broker_tools.outcome import Outcome
from broker_tools.publishing import Publication
from broker_tools.release import Release
from broker_tools.retained import Retained
from broker_tools.signing import SELF, Wish, sign
from broker_tools.stopping import Stopping
from broker_tools.store.database import open_engine
from broker_tools.text import size_text

SILENCE_S = 600
MARGIN_S = 300
"""Unless --timeout says otherwise: a device on trial may be silent for all of --confirm-s, and reboots twice."""


def _floor(ctx: click.Context, param: click.Parameter, value: str | None) -> str | int | None:
    if value is None or value == SELF:
        return value
    if not re.fullmatch(r"[0-9]{1,10}", value) or int(value) > limits.TIME_MAX:
        message = f"{value!r} is neither 'self' nor a sequence (0 to {limits.TIME_MAX})"
        raise click.BadParameter(message, ctx, param)
    return int(value)


def _number(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and math.isnan(value):  # which is neither below nor above any bound
        raise click.BadParameter("not a number of seconds", ctx, param)
    return value


def _version(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_version(value):
        message = f"{value!r}: a version is 1 to {limits.VERSION_MAX} of A-Z a-z 0-9 . _ + -"
        raise click.BadParameter(message, ctx, param)
    return value


def _hardware(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for revision in value:
        options.name(ctx, param, revision)
    return value


def _ways(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> list[str]:
    del ctx, param
    return delivery.parse(value)


@click.command()
@click.argument("file", type=options.FILE)
@click.option(
    "--key", "key_name", callback=options.name, required=True, help="Signing key (otafleet keys new NAME)."
)
@click.option("--device", callback=options.name, required=True, help="Id of the device.")
@click.option("--project", callback=options.name, help="Project; needed when the image does not say.")
@click.option("--version", callback=_version, help="Version; needed when the image does not say.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1, max=30 * 86400),
    callback=_number,
    show_default="600, or --confirm-s + 300 if that is longer",
    help="Longest silence of the device, in seconds.",
)
@click.option(
    "--confirm-s",
    type=click.IntRange(limits.CONFIRM_S_MIN, limits.CONFIRM_S_MAX),
    default=limits.CONFIRM_S,
    show_default=True,
    help="Seconds in which the new image must prove itself, or it is rolled back.",
)
@click.option(
    "--floor",
    metavar="self|N",
    callback=_floor,
    help="Oldest release it takes afterwards; default: the previous.",
)
@click.option(
    "--attempt",
    type=click.IntRange(0, limits.ATTEMPT_MAX),
    default=0,
    help="Raise it to lift the device's quarantine of an image that failed there.",
)
@click.option(
    "--sign-again", is_flag=True, help="Sign anew even if this image was signed before on these terms."
)
@click.option(
    "--hardware", callback=_hardware, multiple=True, help="Hardware revision that may take it (repeatable)."
)
@click.option(
    "--encoding",
    type=click.Choice(ENCODINGS),
    default=AUTO,
    show_default=True,
    help="Form of the chunks on the wire; auto: as signed before, else deflate where it saves 10 %.",
)
@click.option(
    "--delivery",
    "ways",
    metavar="direct|store|URL",
    callback=_ways,
    multiple=True,
    default=(delivery.DIRECT,),
    show_default=True,
    help="How the device gets the chunks; repeatable, or joined by commas: the first that works.",
)
@click.option(
    "--detach", is_flag=True, help="End when the broker has the offer. Not with delivery direct alone."
)
@options.broker
@options.store
@options.json_lines
@click.pass_context
def command(
    ctx: click.Context,
    file: Path,
    key_name: str,
    device: str,
    project: str | None,
    version: str | None,
    timeout: float | None,
    confirm_s: int,
    floor: str | int | None,
    attempt: int,
    sign_again: bool,
    hardware: tuple[str, ...],
    encoding: str,
    ways: list[str],
    detach: bool,
    broker: str,
    cafile: Path | None,
    prefix: str,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Sign the app image FILE, offer it to one device, and stay until the device has confirmed it.

    Exit code 0 only when the device runs this very image, confirmed as VALID; 3 it rejected the offer, 4 it
    rolled back, 1 it failed, 5 it was silent for too long, 6 there was no broker. Ctrl-C withdraws the offer
    unless the device already starts the new image. With --detach, 0 says only that the broker has the offer.
    """
    _may_detach(detach, ways)

    def run(display: Display, stopping: Stopping) -> Outcome:
        image, note = load_exact(file)
        if note:
            display(Event("note", f"{file}: {note}", {"note": note}))
        wish = Wish(
            project=options.project(project, image, file),
            version=options.version(version, image, file),
            floor=floor,
            confirm_s=confirm_s,
            hardware=hardware,
            encoding=encoding,
            again=sign_again,
        )
        signer = keys.load_private(home.path(), key_name)
        client = options.make_client(broker, cafile)
        store = open_engine(store_url)
        try:
            client.open()
            with Publication(client, store, prefix, device, on_event=display, stop=stopping) as publication:
                publication.discover()
                state = publication.track.state or {"can": ()}
                usable = delivery.usable(ways, state, device)
                _may_detach(detach, usable)
                for way in ways:
                    if way not in usable:
                        text = f"{device} cannot fetch by {way}; left out"
                        display(Event("note", text, {"note": text}))
                release, is_new = sign(store, image, signer, wish, tell=display)
                display(_signed(release, is_new))
                delivery.check_encoding(release, state, device)
                if delivery.STORE in usable:

                    def meanwhile() -> None:
                        publication.work(0)
                        if stopping():
                            raise OtafleetError("interrupted; nothing was offered")

                    _put(release, options.make_client(broker, cafile), prefix, meanwhile, display)
                publication.offer(release, attempt, usable)
                if detach:
                    return publication.detach()
                return publication.follow(timeout or max(SILENCE_S, confirm_s + MARGIN_S))
        finally:
            client.close()
            store.dispose()

    try:
        with Display(as_json) as display, Stopping() as stopping:
            outcome = run(display, stopping)
    except OtafleetError as error:
        if as_json:
            display(_last(Outcome(error.exit_code, "error", "", error.message, None)))
        raise
    display(_last(outcome))
    ctx.exit(outcome.exit_code)


def _may_detach(detach: bool, ways: Sequence[str]) -> None:
    """Raise OtafleetError when nobody would serve the device."""
    if detach and set(ways) == {delivery.DIRECT}:
        message = "--detach leaves nobody to send chunks by delivery direct; add --delivery store or a URL"
        raise OtafleetError(message, exits.USAGE)


def _put(
    release: Release, client: Client, prefix: str, meanwhile: Callable[[], None], tell: Listener
) -> None:
    """Put the release's content on the broker, over a connection of its own."""
    form = release.form
    what = f"content {form.name} ({release.chunks} chunks, {size_text(form.size)})"
    try:
        client.open()
        is_new = BrokerStore(Retained(client, meanwhile), prefix).put(release.project, form)
    finally:
        client.close()
    done = "put on the broker and read back" if is_new else "was on the broker already; read back"
    tell(Event("stored", f"{what}: {done}", {"content": form.name, "chunks": release.chunks, "new": is_new}))


def _signed(release: Release, is_new: bool) -> Event:
    done = "signed" if is_new else "reuses the manifest signed earlier of"
    text = f"{done} {release.project} {release.version}, sequence {release.sequence}, key {release.kid}"
    text += f", {release.form.encoding}"
    return Event("signed", text, {"new": is_new, "kid": release.kid, "manifest": release.payload})


def _last(outcome: Outcome) -> Event:
    return Event(
        "outcome", outcome.message, {field.name: getattr(outcome, field.name) for field in fields(outcome)}
    )
