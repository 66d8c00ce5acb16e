"""The agent as the only program of a device, and when an offer has come and set_boot has returned."""

import gc

gc.threshold(4096)

from time import ticks_ms

from agent.agent import Agent
from agent.app import App


class Told(App):
    def status(self, phase, reason):
        print("mark", phase, ticks_ms(), reason)


agent = Agent(app=Told())
take = agent.intake.take


def taken(payload):
    print("mark offer", ticks_ms())
    take(payload)


agent.intake.take = taken
agent.run()
