# ruff: noqa: D100, F821, INP001
# mypy: disable-error-code="name-defined"
#
# What is frozen into the OTAFLEET boards: what stock boards have, and the agent. MicroPython's build runs this file, in
# the folder that it lies in, as one of its manifest files; it is no module. agent/main.py becomes agent.main, so all
# that a /main.py needs to say is `import agent.main`.
from pathlib import Path

include("$(PORT_DIR)/boards/manifest.py")

# agent/protocol/host is for computers; no device loads it, and frozen it takes 10 KB of every app slot.
AGENT = Path("../../../agent")
package(
    AGENT.name,
    base_path=str(AGENT.parent),
    files=[
        str(path.relative_to(AGENT))
        for path in sorted(AGENT.rglob("*.py"))
        if AGENT / "protocol" / "host" not in path.parents
    ],
)
