"""All phases in order, and those that end an update."""

from agent.protocol.phases import (
    ACTIVATING,
    CANCELLED,
    CONFIRMED,
    DEFERRED,
    DOWNLOADING,
    FAILED,
    IDLE,
    OFFERED,
    REBOOTING,
    REJECTED,
    ROLLED_BACK,
    STALLED,
    TESTING,
    VERIFYING,
)

PHASES = (
    IDLE,
    OFFERED,
    DOWNLOADING,
    VERIFYING,
    ACTIVATING,
    REBOOTING,
    TESTING,
    CONFIRMED,
    REJECTED,
    DEFERRED,
    STALLED,
    FAILED,
    ROLLED_BACK,
    CANCELLED,
)
ENDED = (CONFIRMED, REJECTED, FAILED, ROLLED_BACK, CANCELLED)
