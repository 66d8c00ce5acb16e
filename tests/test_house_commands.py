"""Every command is in the documentation, and says of itself and of each option what it does."""

import click
import pytest

from broker_tools.cli import main
from tests.support.paths import ROOT


def commands(group=main, path=("otafleet",)):
    context = click.Context(group)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        assert command is not None, word
        if isinstance(command, click.Group):
            yield from commands(command, (*path, word))
        else:
            yield " ".join((*path, word)), command


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_documented(name):
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert any(name in page.read_text() for page in pages), f"`{name}` is in no page"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself_and_its_options(name):
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_with_a_result_speaks_json(name):
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert "--json" in options
