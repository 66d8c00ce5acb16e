"""The default app, copied to the board as /main.py where there is no other: nothing but the agent."""

import gc

# The agent is all that this heap is for: small and often collected, it stays in one piece.
gc.threshold(4096)

import sys
from time import sleep

from machine import reset

from agent.agent import Agent

try:
    Agent().run()
except KeyboardInterrupt:
    pass  # somebody is at the board's REPL
except Exception as error:
    sys.print_exception(error)
    sleep(30)  # long enough to read it; a board that stays in the REPL could never be updated again
    reset()
