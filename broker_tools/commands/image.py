"""`otafleet image`: what an image file is, and what must lie beside it."""

import json
from pathlib import Path
from typing import Any

import rich_click as click

from agent.protocol.manifest import DEFLATE, RAW
from broker_tools import image as images
from broker_tools import merged as merged_images
from broker_tools.commands import image_store, options
from broker_tools.content import encode
from broker_tools.errors import OtafleetError, os_reason
from broker_tools.image import AppImage
from broker_tools.text import clean, size_text


@click.group()
def command() -> None:
    """Look into image files, and make them ready for delivery."""


command.add_command(image_store.command, "store")


@command.command()
@click.argument("file", type=options.FILE)
@options.json_lines
def inspect(file: Path, as_json: bool) -> None:
    """Say what the app image FILE is, or why it is none."""
    image = images.load(file)
    found = _facts(image)
    if as_json:
        click.echo(json.dumps(found))
        return
    trailing = found["trailing"]
    rows = {
        "chip": image.chip,
        "size": size_text(len(image.data))
        + (f", then {size_text(trailing)} that are not part of it" if trailing else ""),
        "sha256": image.sha256,
        "project": image.project or "(none: publish needs --project)",
        "version": image.version or "(none: publish needs --version)",
        "idf": image.idf,
        "built": image.built or "(not said)",
        "elf sha256": image.elf_sha256,
        "deflate": f"{size_text(found['deflated'])} on the wire, {_less(found['deflated'], len(image.data))}",
        "fits": "slots of " + ", ".join(image.fits) if image.fits else "no standard OTA slot",
    }
    for name, value in rows.items():
        click.echo(f"{name + ':':<12}{clean(value, 200)}")


@command.command()
@click.argument("merged", type=options.FILE)
@click.option(
    "-o", "--out", type=options.FILE, help="Where to write it; default: MERGED with .app-bin at its end."
)
@options.json_lines
def extract(merged: Path, out: Path | None, as_json: bool) -> None:
    """Cut the app image out of MERGED, a download with bootloader and partition table in front."""
    whole = images.read_file(merged)
    try:
        data, offset = merged_images.extract(whole)
    except OtafleetError as error:
        raise OtafleetError(f"{merged}: {error.message}") from None
    image = images.parse(data, str(merged))
    target = out or merged.with_suffix(".app-bin")
    write_new(target, image.data)
    if as_json:
        click.echo(json.dumps(_facts(image) | {"out": str(target), "offset": offset}))
    else:
        click.echo(f"{target}: {size_text(len(image.data))}, found at {offset:#x}, sha256 {image.sha256}")


@command.command()
@click.argument("image", type=options.FILE)
@click.option(
    "-o",
    "--out",
    type=options.FILE,
    help="Write the image there too, and its index beside it; default: IMAGE.",
)
@options.json_lines
def index(image: Path, out: Path | None, as_json: bool) -> None:
    """Write what a web server must serve of the app image IMAGE (delivery https and http).

    That is the image and nothing else, and a file with .index appended to its name.
    """
    app, note = images.load_exact(image)
    if note and out is None:
        raise OtafleetError(f"{image} has padding, a web server must serve the image alone: write it with -o")
    served = out or image
    pages = encode(app.data, RAW).pages
    if out is not None:
        write_new(out, app.data)
    target = served.with_name(f"{served.name}.index")
    try:
        write_new(target, b"".join(pages))
    except OtafleetError:
        if out is not None:
            out.unlink(missing_ok=True)
        raise
    if as_json:
        facts = {"file": str(served), "index": str(target), "size": len(app.data), "sha256": app.sha256}
        click.echo(json.dumps(facts | {"pages": len(pages)}))
    else:
        click.echo(f"serve {served} and {target}, and publish with --delivery https://.../{served.name}")


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet, whole or not at all. Raises OtafleetError."""
    try:
        with path.open("xb") as file:
            try:
                file.write(data)
                file.flush()
            except OSError:
                path.unlink(missing_ok=True)
                raise
    except FileExistsError:
        raise OtafleetError(f"{path} exists; name another file with -o") from None
    except OSError as error:
        raise OtafleetError(f"cannot write {path}: {os_reason(error)}") from None


def _facts(image: AppImage) -> dict[str, Any]:
    return {
        "file": image.source,
        "chip": image.chip,
        "size": len(image.data),
        "trailing": len(image.trailing),
        "sha256": image.sha256,
        "project": image.project,
        "version": image.version,
        "secure_version": image.secure_version,
        "idf": image.idf,
        "built": image.built,
        "elf_sha256": image.elf_sha256,
        "fits": image.fits,
        "header": image.header,
        "deflated": encode(image.data, DEFLATE).size,
    }


def _less(size: int, than: int) -> str:
    percent = 100 * (than - size) / than
    return f"{percent:.0f} % less" if percent >= 1 else "no gain"
