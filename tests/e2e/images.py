"""Programs for images of twins."""

from broker_tools import provision

WORKS = provision.agent_file("main.py")
CRASHES = b"raise RuntimeError('no lamp')\n"
COLLECTS = b"import gc\ngc.threshold(4096)\n"
"""How an app that shares a small heap with the agent begins; main.py of the agent does the same."""


def with_config(change: str) -> bytes:
    """Return the default app, on an image that takes one setting for its own: `keys = {}`."""
    lines = [
        "from agent.agent import Agent",
        "from agent.config import load",
        "config = load()",
        f"config.{change}",
        "Agent(config).run()",
        "",
    ]
    return COLLECTS + "\n".join(lines).encode()


LOST = with_config("wifi = {'ssid': 'another network', 'key': ''}")
