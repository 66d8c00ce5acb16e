"""`otafleet keys`: signing keys."""

import json

import rich_click as click

from broker_tools import home, keys
from broker_tools.commands import options


@click.group()
def command() -> None:
    """Make and list signing keys."""


@command.command()
@click.argument("name", callback=options.name)
@options.json_lines
def new(name: str, as_json: bool) -> None:
    """Make the signing key NAME: a private file for you alone, and the public form that devices need."""
    where = home.ensure()
    key = keys.create(where, name)
    private, public = keys.private_path(where, name), keys.public_path(where, name)
    if as_json:
        found = {"name": name, "kid": key.kid, "private": str(private), "public": str(public), "jwk": key.jwk}
        click.echo(json.dumps(found))
        return
    click.echo(f"private key: {private} (mode 0600; keep it, whoever has it can sign for your devices)")
    click.echo(f"public key:  {public} (for the devices)")
    click.echo(f"kid: {key.kid}")


@command.command(name="list")
@options.json_lines
def list_(as_json: bool) -> None:
    """List the keys in the home."""
    where = home.path()
    for name in keys.names(where):
        jwk = keys.load_public(where, name)
        signs = keys.private_path(where, name).exists()
        if as_json:
            click.echo(json.dumps({"name": name, "kid": jwk["kid"], "can_sign": signs, "jwk": jwk}))
        else:
            click.echo(f"{name}  {jwk['kid']}  {'private and public' if signs else 'public only'}")
