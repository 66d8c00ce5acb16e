"""docs/protocol.md says what the code does: every code, constant, topic, field and phase, and the example's bytes."""

import json
import re

import pytest

from agent.protocol import limits, manifest, phases
from agent.protocol.host import limits as host_limits
from agent.protocol.host import phases as host_phases
from agent.protocol.host import reason_texts, topics
from tests.protocol.vector_checks import payload_of
from tests.support.paths import ROOT

PAGE = (ROOT / "docs/protocol.md").read_text()
VECTORS = ROOT / "tests/vectors"
EXAMPLE = json.loads((VECTORS / "example.json").read_text())
CELLS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|")
]


def good(kind):
    return json.loads((VECTORS / f"{kind}.json").read_text())["good"]


def section(start, end):
    found = re.search(rf"^##+ {re.escape(start)}.*?^##+ {re.escape(end)}", PAGE, re.MULTILINE | re.DOTALL)
    assert found, start
    return found[0]


@pytest.mark.parametrize(("code", "text"), reason_texts.REASONS.items())
def test_every_reason_is_listed_with_its_sentence(code, text):
    assert [row[2] for row in CELLS if row[0] == f"`{code}`" and len(row) == 3] == [text]


def test_no_reason_is_listed_that_the_code_lacks():
    codes = re.findall(r"^\| `(\w+)` \|", section("14.", "15."), re.MULTILINE)
    assert codes == list(reason_texts.REASONS)


def test_every_constant_is_listed_with_its_value_and_no_other():
    constants = [*vars(limits).items(), *vars(host_limits).items()]
    expected = [(f"`{name}`", str(value)) for name, value in constants if name.isupper()]
    listed = re.findall(r"^\| (`\w+`) \| (\d+) \|", section("15.", "16."), re.MULTILINE)
    assert sorted(listed) == sorted(expected)


def test_every_topic_is_listed():
    prefix, device, project, content = "<prefix>", "<device>", "<project>", "<content>"
    listed = {row[0].strip("`") for row in CELLS if row[0].startswith("`<prefix>/")}
    assert listed == {
        topics.desired(prefix, device),
        topics.want(prefix, device),
        topics.state(prefix, device),
        topics.ack(prefix, device),
        topics.online(prefix, device),
        topics.chunk(prefix, device, content, 0)[:-1] + "<offset>",
        topics.page(prefix, device, content, 0)[:-1] + "<page>",
        topics.image_chunk(prefix, project, content, 0)[:-1] + "<offset>",
        topics.image_page(prefix, project, content, 0)[:-1] + "<page>",
        topics.keys(prefix, 1)[:-1] + "<version>",
    }
    assert f"`{topics.all_devices(prefix, 'state')}`" in PAGE
    assert f"`{topics.chunk_filter(prefix, device, content)}`" in PAGE


def test_every_phase_and_slot_state_is_explained():
    assert re.findall(r"^\| `(\w+)` \|", section("9.", "10."), re.MULTILINE) == list(host_phases.PHASES)
    ends = re.findall(r"^\| `(\w+)` \| \*\*end\*\*", PAGE, re.MULTILINE)
    assert set(ends) == set(host_phases.ENDED)
    for number in (0, 1, 2, 3, 4, -1):
        state = phases.APP_STATES[number]
        assert re.search(rf"`{state}`\s\({number}\b", PAGE), state


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [("offers", "4.", "5."), ("wants", "8.1", "8.2"), ("states", "11.1", "11.2"), ("acks", "11.2", "11.3")],
)
def test_every_field_of_a_message_is_explained(kind, start, end):
    text = section(start, end)
    listed = {
        field
        for cell in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
        for field in re.findall(r"`(\w+)`", cell)
    }
    if kind == "offers":
        listed.add(*re.findall(r'"withdraw": true, "(reason)"', text))
    assert listed == {field for row in good(kind) for field in json.loads(payload_of(row))} - {"zz"}
    for field in good(kind)[0]["value"].get("slots", [{}])[0]:
        assert f'"{field}":' in text, field


def test_every_field_of_a_manifest_is_explained():
    listed = re.findall(r"^\| `(\w+)` \|", section("5.", "6."), re.MULTILINE)
    component = good("manifests")[0]["value"]["component"]
    assert sorted(listed) == sorted([*manifest.FIELDS, *component])


def test_the_example_is_shown_byte_for_byte_and_in_order():
    shown = [
        json.dumps(EXAMPLE["key"]),
        EXAMPLE["image"]["sha256"],
        EXAMPLE["page"],
        EXAMPLE["payload"],
        EXAMPLE["header"],
        EXAMPLE["signature"],
        EXAMPLE["jws"],
    ]
    for step in EXAMPLE["steps"]:
        if "text" in step:
            payload = step["text"]
        elif "hex" in step:
            payload = f"bytes: {step['hex']}"
        else:
            first = step["chunk"] * limits.CHUNK
            last = min(first + limits.CHUNK, EXAMPLE["image"]["size"]) - 1
            payload = f"bytes: the image's {first} to {last}"
        shown.append(f"{step['topic']}\n{payload}")
    shown += [EXAMPLE["will"], EXAMPLE["withdrawal"]]
    assert re.findall(r"^```\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL) == shown


def test_the_example_names_direction_and_quality_of_service():
    said = re.findall(r"(Device|Host) to (?:host|device),\sQoS\s(\d)(,\sretained)?:", PAGE)
    expected = [
        ("Device" if step["from"] == "device" else "Host", str(step["qos"]), step["retain"])
        for step in EXAMPLE["steps"]
    ]
    assert [(who, qos, bool(retained)) for who, qos, retained in said] == expected


def test_links_within_the_page_lead_somewhere():
    headings = re.findall(r"^##+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(#([^)]*)\)", PAGE)
    assert links
    assert set(links) <= anchors
