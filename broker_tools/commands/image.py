"""`otafleet image`: what an image file is."""

import json
from pathlib import Path
from typing import Any

import rich_click as click

from broker_tools import image as images
from broker_tools import merged as merged_images
from broker_tools.commands import options
from broker_tools.errors import OtafleetError, os_reason
from broker_tools.image import AppImage
from broker_tools.text import clean, size_text


@click.group()
def command() -> None:
    """Look into image files."""


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
    }
