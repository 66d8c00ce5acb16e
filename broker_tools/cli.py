"""The command `otafleet`: finds the subcommand, and turns every failure into one line and an exit code."""

import importlib
import os

import rich_click as click
from click.exceptions import Abort, ClickException, Exit

from broker_tools import exits, output
from broker_tools.errors import OtafleetError, os_reason
from broker_tools.text import clean

COMMANDS = ("keys", "image", "publish", "monitor", "flash", "twin", "demo")
DEBUG = "OTAFLEET_DEBUG"
MESSAGE_MAX = 1000
"""Longest error line, in characters."""


class LazyGroup(click.RichGroup):
    """Imports a subcommand's module when it is asked for, and reports what goes wrong within it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order that a newcomer needs them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the `command` of commands/<name>.py."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"broker_tools.commands.{cmd_name}").command
        command.name = cmd_name
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand; whatever it raises becomes one line on stderr (all of it with OTAFLEET_DEBUG=1)."""
        try:
            return super().invoke(ctx)
        except OtafleetError as error:
            self._end(ctx, error, error.message, error.exit_code)
        except BrokenPipeError:
            # The reader of our output has left (| head).
            output.drop()
            ctx.exit(exits.OK)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            self._end(ctx, error, where + os_reason(error), exits.FAILED)
        except (ClickException, Exit, Abort, KeyboardInterrupt):
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence: a user never sees a traceback
            message = (
                f"internal error, please report it: {type(error).__name__}: {error} ({DEBUG}=1 shows where)"
            )
            self._end(ctx, error, message, exits.FAILED)
        return None

    def _end(self, ctx: click.Context, error: BaseException, message: str, exit_code: int) -> None:
        if os.environ.get(DEBUG):
            raise error
        click.echo(f"otafleet: {clean(message, MESSAGE_MAX)}", err=True)
        ctx.exit(exit_code)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="otafleet")
def main() -> None:
    """Update fleets of ESP32 boards that run MicroPython, over any MQTT broker.

    Exit codes: 0 done, 1 failed, 2 wrong use, 3 rejected by the device, 4 rolled back,
    5 timed out, 6 no broker, 7 halted by a gate.
    """
    output.tolerate()
