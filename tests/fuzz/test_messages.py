"""Whatever anybody says to a device, in whatever phase: no exception, no write to a slot, no heap that stays taken.

A device is walked from an offer to its confirmation, and in each phase it gets only what must not move it on.
"""

import json
import re

import pytest
from hypothesis import strategies as st

from agent.protocol.limits import CHUNK
from tests.fuzz.messages import OTHERS, Sent, answers, objects, on, spoiled_jws
from tests.fuzz.victim import Victim


@pytest.fixture
def victim(tmp_path):
    """A device that waits for an offer."""
    victim = Victim(tmp_path)
    yield victim
    victim.off()


def unreadable(victim):
    """What is no offer, and has no number or the one that the device holds, or a lower one."""
    sound = json.loads(victim.again())
    del sound["source"]

    def harmless(payload):
        found = re.search(rb'"n": ?(\d+)', payload)
        return (not found or int(found[1]) <= victim.n) and b'"withdraw": true' not in payload

    return on("desired", objects(sound).filter(harmless))


def test_offers_of_every_kind(victim):
    sound = json.loads(victim.offer)
    signed = spoiled_jws(victim.release.manifest).map(
        lambda jws: json.dumps({**sound, "manifest": jws}).encode()
    )
    strangers = (OTHERS, answers(victim.release.content))
    victim.withstands(on("desired", objects(sound)), on("desired", signed), *strangers, calm=victim.withdraw)


def test_an_update_from_its_offer_to_its_end(victim):
    release = victim.release
    victim.is_told(Sent("desired", victim.offer, 1, True))
    victim.says("want", index=[0])
    held = Sent("desired", victim.again(), 1, True)
    others = (unreadable(victim), OTHERS, answers(release.content), st.just(held))
    victim.withstands(*others)  # in place of an index page

    victim.is_told(held)
    victim.is_told(Sent(f"chunk/{release.content}/index/0", release.form.pages[0], 0, False))
    victim.says("want", index=[])
    victim.withstands(*others)  # in place of chunks

    for number, payload in enumerate(release.form.payloads):
        victim.is_told(Sent(f"chunk/{release.content}/{number * CHUNK}", payload, 0, False))
    victim.says("ack", phase="testing")
    state = victim.says("state", phase="testing")
    victim.broker.subscribed.expect(lambda topic: topic == state.topic, 20)
    older = json.loads(state.payload) | {"boot": 1}
    echoes = objects(older).filter(lambda payload: not re.search(rb'"boot": ?2', payload))
    victim.withstands(unreadable(victim), OTHERS, on("state", echoes))
    assert not any(b"confirmed" in said.payload for said in victim.broker.said.items)
    victim.is_told(Sent("state", state.payload, 0, True))
    victim.says("ack", phase="confirmed")
