# ruff: noqa: D100, F821, INP001
# mypy: disable-error-code="name-defined"
#
# What is frozen into the OTAFLEET boards: what stock boards have, and the agent. MicroPython's build reads this file as
# one of its manifest files; it is no module. agent/main.py becomes agent.main, so all that a /main.py needs to say is
# `import agent.main`.
include("$(PORT_DIR)/boards/manifest.py")
package("agent", base_path="../../..")
