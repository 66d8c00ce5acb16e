"""`otafleet image store`: contents that the broker holds for delivery `store`."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click
from sqlalchemy import Engine

from agent.protocol import limits
from agent.protocol.checks import is_hex
from broker_tools import ledger
from broker_tools.broker_store import BrokerStore, Held
from broker_tools.commands import options
from broker_tools.content import AUTO, ENCODINGS
from broker_tools.display import Display
from broker_tools.errors import OtafleetError
from broker_tools.events import Event
from broker_tools.image import load_exact
from broker_tools.retained import Retained
from broker_tools.stopping import Stopping
from broker_tools.store.database import open_engine
from broker_tools.text import size_text

F = TypeVar("F", bound=Callable[..., Any])


def _content(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not is_hex(value, limits.CONTENT_LENGTH):
        raise click.BadParameter(f"{value!r} is no content: 16 lower case hex digits", ctx, param)
    return value


def _of_content(command: F) -> F:
    """Add CONTENT and --project."""
    option = click.option(
        "--project", callback=options.name, help="Its project; default: what ledger and broker say."
    )
    return click.argument("content", callback=_content)(option(command))


@click.group()
def command() -> None:
    """Keep images on the broker, so that devices can fetch them from there (delivery store)."""


@command.command()
@click.argument("image", type=options.FILE)
@click.option("--project", callback=options.name, help="Project; needed when the image does not say.")
@click.option(
    "--encoding",
    type=click.Choice(ENCODINGS),
    default=AUTO,
    show_default=True,
    help="Form of the chunks; auto: as signed before, else deflate where it saves 10 %.",
)
@options.broker
@options.store
@options.json_lines
def put(
    image: Path,
    project: str | None,
    encoding: str,
    broker: str,
    cafile: Path | None,
    prefix: str,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Put the app image IMAGE on the broker, in the form that a publication of it sends, and read it back.

    What is there already is not sent again.
    """
    app, note = load_exact(image)
    if note and not as_json:
        click.echo(f"{image}: {note}")
    named = options.project(project, app, image)
    with _opened(broker, cafile, prefix, store_url) as (contents, store), Display(as_json) as display:
        form = ledger.form(store, named, app, encoding)
        chunks = len(form.payloads)

        def show(done: int, _total: int) -> None:
            if not as_json:
                fields = {"done": min(done, chunks), "total": chunks}
                display(Event("progress", "", fields))

        is_new = contents.put(named, form, show)
    if as_json:
        facts = {"chunks": chunks, "bytes": form.size, "encoding": form.encoding, "put": is_new}
        click.echo(json.dumps({"project": named, "content": form.name} | facts))
        return
    done = "put on the broker and read back" if is_new else "was on the broker already; read back"
    what = f"{chunks} chunks, {form.encoding}, {size_text(form.size)}"
    click.echo(f"content {form.name} of project {named} ({what}): {done}")


@command.command("list")
@options.broker
@options.store
@options.json_lines
def list_(broker: str, cafile: Path | None, prefix: str, store_url: str | None, as_json: bool) -> None:
    """List the contents on the broker, whole or not. It reads all of them."""
    with _opened(broker, cafile, prefix, store_url) as (contents, store):
        known = ledger.contents(store)
        for project, content in contents.find(list(known)):
            manifest = known.get((project, content))
            _show(contents.verify(project, content, manifest), manifest, as_json)


@command.command()
@_of_content
@options.broker
@options.store
@options.json_lines
def verify(
    content: str,
    project: str | None,
    broker: str,
    cafile: Path | None,
    prefix: str,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Read all of CONTENT from the broker and compare it with its index, its name and what was signed of it.

    Exit code 1 unless every chunk is there and right.
    """
    with _opened(broker, cafile, prefix, store_url) as (contents, store):
        known = ledger.contents(store)
        where = _project(contents, known, content, project)
        manifest = known.get((where, content))
        held = contents.verify(where, content, manifest)
    _show(held, manifest, as_json)
    if not held.whole:
        raise OtafleetError(f"content {content} of project {where} is not whole: {held.fault}; put it again")


@command.command()
@_of_content
@options.broker
@options.store
@options.json_lines
def remove(
    content: str,
    project: str | None,
    broker: str,
    cafile: Path | None,
    prefix: str,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Remove CONTENT from the broker, its index first, so that no device begins to fetch it."""
    with _opened(broker, cafile, prefix, store_url) as (contents, store):
        known = ledger.contents(store)
        where = _project(contents, known, content, project)
        contents.remove(where, content, known.get((where, content)))
    if as_json:
        click.echo(json.dumps({"project": where, "content": content, "removed": True}))
    else:
        click.echo(f"content {content} of project {where} is no longer on the broker")


@contextmanager
def _opened(
    broker: str, cafile: Path | None, prefix: str, store_url: str | None
) -> Iterator[tuple[BrokerStore, Engine]]:
    """The contents on the broker, and the ledger. Ctrl-C ends the work in one line."""
    client = options.make_client(broker, cafile)
    store = open_engine(store_url)
    with Stopping() as stopping:

        def meanwhile() -> None:
            if stopping():
                raise OtafleetError("interrupted; the same command goes on from here")

        try:
            client.open()
            yield BrokerStore(Retained(client, meanwhile), prefix), store
        finally:
            client.close()
            store.dispose()


def _project(
    contents: BrokerStore, known: dict[tuple[str, str], dict[str, Any]], content: str, given: str | None
) -> str:
    """Return the project that a content is of. Raises OtafleetError when nobody knows, or more than one has it."""
    if given is not None:
        return given
    found = {project for project, name in (*known, *contents.find([])) if name == content}
    if len(found) == 1:
        return found.pop()
    why = f"projects {' and '.join(sorted(found))} have" if found else "neither ledger nor broker know a"
    raise OtafleetError(f"{why} content {content}: name its --project")


def _show(held: Held, manifest: dict[str, Any] | None, as_json: bool) -> None:
    version = manifest["version"] if manifest else ""
    if as_json:
        facts = asdict(held) | {"version": version, "whole": held.whole}
        facts["bytes"] = facts.pop("size")
        click.echo(json.dumps(facts))
        return
    chunks = f"{held.present}/{'?' if held.expected is None else held.expected} chunks"
    state = "whole" if held.whole else held.fault
    click.echo(f"{held.project} {version or '-'}  {held.content}  {chunks}, {size_text(held.size)}: {state}")
