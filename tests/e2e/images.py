"""Programs for images of twins."""

from broker_tools import provision

WORKS = provision.agent_file("main.py")
CRASHES = b"raise RuntimeError('no lamp')\n"
LOST = b"""
from agent.agent import Agent
from agent.config import load

config = load()
config.wifi = {"ssid": "another network", "key": ""}
Agent(config).run()
"""
