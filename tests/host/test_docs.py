"""docs/cli.md names what scripts rely on."""

import click
import pytest

from broker_tools import exits
from broker_tools.cli import main
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text()


def options(name):
    command = main
    for word in name.split():
        command = command.get_command(click.Context(command), word)
    return [option for parameter in command.params for option in parameter.opts if option.startswith("--")]


@pytest.mark.parametrize("name", ["publish", "monitor", "image store put", "image store verify"])
def test_every_option_is_named(name):
    assert [
        option for option in options(name) if option not in PAGE and option not in ("--key", "--help")
    ] == []


def test_every_exit_code_is_named():
    codes = {value for name, value in vars(exits).items() if name.isupper()}
    assert codes == set(range(8))
    assert all(f"| {code} | " in PAGE for code in codes)
