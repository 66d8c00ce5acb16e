"""One image by every delivery and in both encodings, into the same device; a list is tried in its order."""

import pytest
import trustme

from tests.support.twin_device import HEAP
from tests.support.web import WebServer, change
from tests.support.web_client import tls


def served(otafleet, file):
    """What a web server has to serve for this image."""
    site = file.parent / "app.bin"
    otafleet.ok("image", "index", file, "-o", site)
    return {f"/{path.name}": path.read_bytes() for path in (site, site.with_name("app.bin.index"))}


INFLATES = "160k"
"""Heap for a window of 4 KB, a copy of what is inflated, and the inflater."""
BROWSES = "160k"
"""Heap for the web client and a buffer of its own."""
SECURED = "256k"
"""TLS takes its buffers from the heap of a twin too; a board has other memory for them."""


@pytest.mark.parametrize("delivery", ["direct", "store"])
@pytest.mark.parametrize("encoding", ["raw", "deflate"])
def test_over_the_broker(otafleet, make_twin, image, publish, delivery, encoding):
    with make_twin(heap=INFLATES if encoding == "deflate" else HEAP) as kitchen:
        otafleet.ok(*publish(image("1.1"), "--delivery", delivery, "--encoding", encoding))
    assert {count.erases for count in kitchen.counts("ota_1")} == {0, 1}


def test_from_the_broker_without_any_publisher(otafleet, kitchen, image, publish, watch):
    topic = kitchen.topic("state")
    watch(topic).expect(topic)
    kitchen.off()
    otafleet.ok(*publish(image("1.1"), "--delivery", "store", "--detach"))
    kitchen.on()
    state = watch(topic).expect(topic, phase="confirmed").json
    assert state["slots"][0]["app_state"] == "VALID"


def test_what_an_older_image_left_in_the_slot_is_not_fetched_again(otafleet, kitchen, image, publish):
    for version in ("1.1", "1.2"):
        otafleet.ok(*publish(image(version)))
    # It finds 1.1 in ota_1, which differs in its version and the digest at its end.
    said = otafleet.ok(*publish(image("1.3")))
    assert "23 of 25 chunks were in the slot already" in said


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_from_a_web_server(otafleet, make_twin, image, publish, scheme):
    file = image("1.1")
    authority = trustme.CA()
    with (
        WebServer(served(otafleet, file), tls=tls(authority) if scheme == "https" else None) as web,
        make_twin(hosts=["localhost"], certificates=authority.cert_pem.bytes(), heap=SECURED),
    ):
        otafleet.ok(*publish(file, "--delivery", web.url + "/app.bin"))
        assert len(web.requests) > 2


def test_a_source_that_refuses_gives_way_to_the_next(otafleet, make_twin, image, publish):
    file = image("1.1")
    with (
        WebServer(served(otafleet, file), fault=change(status=404)) as web,
        make_twin(hosts=["localhost"], heap=BROWSES),
    ):
        otafleet.ok(*publish(file, "--delivery", f"{web.url}/app.bin,direct"))
        assert web.requests


def test_all_sources_refuse_then_one_recovers(otafleet, make_twin, image, publish, watch):
    file = image("1.1")
    with (
        WebServer(served(otafleet, file), fault=change(status=404)) as web,
        make_twin(hosts=["localhost"], heap=BROWSES) as twin,
    ):
        states = watch(twin.topic("state"))
        with otafleet.start(*publish(file, "--delivery", f"{web.url}/app.bin")):
            stalled = states.expect(twin.topic("state"), phase="stalled").json
            assert stalled["reason"] == "web_refused"
        # The publisher has withdrawn it; the same again, now that the server has the file.
        web.fault = None
        otafleet.ok(*publish(file, "--delivery", f"{web.url}/app.bin"))
