"""The sources of one offer, in its order: one object for each entry that this device can use.

Each has `open()` (a connection to the broker is there), `ask(chunks, pages)`, `address(topic)` for what comes over the
broker, `pump()` for what comes otherwise, and `close()`; `refused` is the reason why it is of no use, or "".
Imported late: a heap holds only what the offer at hand needs.
"""

from .protocol.topics import topic
from .rules import takes


def opened(agent, manifest):
    """The sources of the offer that the agent works on, none of them asked yet."""
    config = agent.config
    content = manifest["content"]
    found = []
    for entry in agent.intake.offer["source"]:
        if entry == "direct":
            from .direct import Direct

            asks = topic(config.prefix, config.id, "want")
            base = topic(config.prefix, config.id, "chunk/" + content + "/")
            found.append(Direct(agent.link, asks, base, agent.entry["n"], content, agent.next_w))
        elif entry == "store":
            from .store import Store

            base = "%s/images/%s/%s/" % (config.prefix, manifest["project"], content)
            found.append(Store(agent.link, base))
        elif takes(entry, config):
            from .web import Web

            found.append(Web(entry, manifest["component"]["size"], agent.lend(), config.cafile))
    return found
