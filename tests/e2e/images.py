"""Programs for images of twins."""

from broker_tools import provision

WORKS = provision.agent_file("main.py")
CRASHES = b"raise RuntimeError('no lamp')\n"
COLLECTS = b"import gc\ngc.threshold(4096)\n"
"""How an app that shares a small heap with the agent begins; main.py of the agent does the same."""
LOST = (
    COLLECTS
    + b"""
from agent.agent import Agent
from agent.config import load

config = load()
config.wifi = {"ssid": "another network", "key": ""}
Agent(config).run()
"""
)
