"""docs/states.md draws the agent's transition table as it is."""

from agent.transitions import TRANSITIONS
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "states.md"


def drawn() -> list[str]:
    """The table as lines of a Mermaid state diagram."""
    return [
        f"    {phase} --> {following}: {event}"
        for phase, row in TRANSITIONS.items()
        for event, following in row.items()
    ]


def test_the_diagram_is_the_table() -> None:
    lines = PAGE.read_text().splitlines()
    diagram = [line for line in lines if "-->" in line]
    assert sorted(diagram) == sorted(drawn()), "\n".join(drawn())
