"""An app with a task of its own every 100 ms beside the agent, and the largest gap between two of its runs."""

import asyncio
import gc

gc.threshold(4096)

from time import ticks_diff, ticks_ms

from agent.agent import Agent
from agent.app import App

PERIOD_MS = 100


class Told(App):
    def status(self, phase, reason):
        # From the agent's own task, so the gap that is under way counts too.
        sample(ticks_ms())
        print("mark", phase, ticks_ms(), gap)


def sample(now):
    global gap
    gap = max(gap, ticks_diff(now, ran))


async def blink():
    global ran
    while True:
        await asyncio.sleep_ms(PERIOD_MS)
        now = ticks_ms()
        sample(now)
        ran = now


agent = Agent(app=Told())
take = agent.intake.take


def taken(payload):
    global gap
    gap = 0
    print("mark offer", ticks_ms())
    take(payload)


agent.intake.take = taken
ran = ticks_ms()
gap = 0


async def main():
    await asyncio.gather(blink(), agent.serve())


asyncio.run(main())
