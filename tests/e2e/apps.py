"""Programs of users for twins: the agent with hooks of their own."""

import textwrap

from tests.e2e.images import COLLECTS
from tests.support.twin_device import TwinDevice

GO = "go"
"""A file in the root of a twin that hooks, and WAITS, wait for."""
WAITS = f"import os\nwhile {GO!r} not in os.listdir('/'):\n    pass\n".encode()


def app(hooks: str, *, agent: str = "Agent(app=Mine())", run: str = "agent.run()") -> bytes:
    """Return a program: the agent with these methods of an App; `go()` tells whether the file GO is there."""
    return (
        COLLECTS
        + "\n".join(
            [
                "from os import listdir",
                "from agent.agent import Agent",
                "from agent.app import App",
                f"def go(): return {GO!r} in listdir('/')",
                "class Mine(App):",
                textwrap.indent(textwrap.dedent(hooks).strip(), "    "),
                f"agent = {agent}",
                run,
                "",
            ]
        ).encode()
    )


def allow(twin: TwinDevice) -> None:
    """Give the twin's program what it waits for."""
    (twin.folder / "vfs" / GO).touch()
