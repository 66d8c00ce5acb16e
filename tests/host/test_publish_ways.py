"""`otafleet publish` with an encoding, a list of deliveries, and --detach."""

import json
import zlib

import pytest

from agent.protocol.host import topics
from broker_tools import broker_url, keys
from broker_tools.client import Client
from broker_tools.image import load
from broker_tools.publishing import Publication, Timing
from broker_tools.signing import Wish, sign
from broker_tools.store.database import open_engine
from firmware.twin.image import make_image
from tests.host.device import Device
from tests.support.broker import Mosquitto
from tests.support.watcher import Watcher

URL = "https://updates.example.org/lamp.bin"
CODE = b"#" + b"a program that says the same again and again. " * 2000


def last_line(program):
    return program.lines.items[-1]


@pytest.fixture
def compressible(image_file):
    """The image that `publish` sends, with 92 KB that deflate well; 37 chunks."""
    image_file.write_bytes(make_image(CODE, "demo", "1.4.0", size=150_000))
    return image_file.read_bytes()


def held(broker, offer):
    """The image as a device without a publisher gets it: from what the broker retains."""
    payload = offer["payload"]
    names = [
        topics.image_chunk("fleet", payload["project"], payload["content"], offset)
        for offset in range(0, payload["component"]["size"], 4096)
    ]
    with Watcher(broker.url, *names) as reader:
        return [reader.expect(name).payload for name in names]


def test_a_content_that_deflates_is_signed_and_sent_so(device, publish, compressible):
    program = publish()
    offer = device.take()
    content = offer["payload"]["content"]
    assert offer["payload"]["encoding"] == "deflate"
    device.want(offer["n"], content, [[2, 1], [36, 1]])
    chunk = device.chunk(content, 2)
    assert len(chunk) < 200
    assert zlib.decompress(chunk, -12) == compressible[8192:12288]
    assert device.chunk(content, 36) == compressible[36 * 4096 :]
    program.expect("signed demo 1.4.0, .*, deflate$")
    device.run_new(offer)
    assert program.wait() == 0


def test_another_encoding_is_signed_anew_and_said(device, publish, compressible):
    first = publish()
    device.run_new(device.take())
    assert first.wait() == 0
    second = publish("--encoding", "raw")
    offer = device.take(n=2)
    assert offer["payload"]["encoding"] == "raw"
    assert device.fetch(offer) == compressible
    second.expect("^signed earlier as deflate; raw takes a new signature$")
    device.run_new(offer)
    assert second.wait() == 0


def test_a_device_that_cannot_inflate_is_not_offered_it(device, publish, compressible):
    device.report(can=["direct", "raw", "ask"])
    program = publish()
    assert program.wait() == 1
    assert last_line(program) == (
        "otafleet: kitchen cannot decode deflate, as which this release is signed: publish with --encoding raw"
    )
    assert device.desired_count() == 0
    publish("--encoding", "raw")
    assert device.take()["payload"]["encoding"] == "raw"


def test_a_device_without_any_of_the_ways_is_not_offered_anything(device, publish):
    device.report(can=["direct", "raw", "ask"])
    program = publish("--delivery", f"store,{URL}")
    assert program.wait() == 1
    assert last_line(program) == (
        f"otafleet: kitchen cannot fetch by store or {URL}; it can by direct: choose with --delivery"
    )
    assert device.desired_count() == 0


def test_a_way_that_the_device_lacks_is_left_out(device, publish):
    device.report(can=["direct", "store", "raw", "ask"])
    program = publish("--delivery", URL, "--delivery", "direct")
    assert device.take()["source"] == ["direct"]
    program.expect(f"kitchen cannot fetch by {URL}; left out")


def test_the_offer_lists_the_ways_in_order_and_direct_is_served(device, publish, image_file):
    program = publish("--delivery", f"http://h/a,{URL}", "--delivery", "direct", "--json")
    offer = device.take()
    assert offer["source"] == ["http://h/a", URL, "direct"]
    assert device.fetch(offer) == image_file.read_bytes()
    device.run_new(offer)
    assert program.wait() == 0
    said = [json.loads(line) for line in program.lines.items if '"offered"' in line]
    assert said[0]["source"] == offer["source"]


def test_store_is_on_the_broker_before_the_offer(device, publish, broker, image_file, watch):
    watcher = watch("fleet/images/#", "fleet/devices/+/desired")
    program = publish("--delivery", "store")
    offer = device.take()
    assert offer["source"] == ["store"]
    order = [message.topic for message in watcher.messages.items]
    assert order[-2:] == [
        f"fleet/images/demo/{offer['payload']['content']}/index/0",
        "fleet/devices/kitchen/desired",
    ]
    assert b"".join(held(broker, offer)) == image_file.read_bytes()
    # Nobody has promised to answer.
    device.want(offer["n"], offer["payload"]["content"], [[0, 1]])
    device.ack("verifying")
    program.expect("kitchen: verifying")
    assert not [topic for topic in device.arrived() if "/chunk/" in topic]
    device.run_new(offer)
    assert program.wait() == 0


def test_a_content_is_put_once(device, publish):
    for said in ("put on the broker and read back", "was on the broker already; read back"):
        program = publish("--delivery", "store")
        program.expect(rf"37 chunks, 150,000 bytes\): {said}")
        program.interrupt()
        program.wait()


def test_a_content_that_the_broker_does_not_keep_is_not_offered(tmp_path, ready, image_file):
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite fleet/devices/#\ntopic read fleet/images/#\n")
    with Mosquitto(tmp_path / "strict", f"acl_file {acl}\n") as strict, Device(strict.url) as device:
        device.report()
        arguments = ("--key", "release", "--device", "kitchen", "--delivery", "store", "--broker", strict.url)
        result = ready.run("publish", image_file, *arguments)
        assert result.returncode == 1
        assert "but keeps 0 of them (not 0, 4096, 8192 and 35 more)" in result.stderr
        assert device.desired_count() == 0


def test_detached_it_ends_when_the_broker_has_the_offer(device, publish, broker, image_file, ready):
    program = publish("--delivery", "store", "--detach", "--json")
    assert program.wait() == 0
    end = json.loads(last_line(program))
    assert (end["result"], end["exit_code"]) == ("offered", 0)
    assert end["message"] == "the offer is on the broker and waits there for kitchen, n 1; nobody watches it"
    offer = device.desired(start="now")
    assert b"".join(held(broker, offer)) == image_file.read_bytes()
    content = offer["payload"]["content"]
    assert ready.ok("image", "store", "list") == (
        f"demo 1.4.0  {content}  37/37 chunks, 150,296 bytes: whole\n"
    )


def test_detached_without_a_broker_it_ends_with_6(device, broker, used_home, image_file):
    image, key = load(image_file), keys.load_private(used_home, "release")
    client = Client(broker_url.parse(broker.url))
    store = open_engine(f"sqlite:///{image_file.parent}/store.db")
    client.open()
    timing = Timing(acknowledge=1, settle=0.1)
    with Publication(client, store, "fleet", "kitchen", timing=timing) as publication:
        publication.discover()
        release, _ = sign(store, image, key, Wish("demo", "1"))
        broker.kill()
        publication.offer(release, ways=["store"])
        outcome = publication.detach()
    client.close()
    store.dispose()
    assert (outcome.exit_code, outcome.result) == (6, "no_broker")
    assert outcome.message.startswith("the broker did not acknowledge the offer within 1 s; ")


def test_detach_needs_a_way_without_a_publisher(device, publish):
    for arguments in ((), ("--delivery", "direct")):
        program = publish("--detach", *arguments)
        assert program.wait() == 2
        assert "--detach leaves nobody to send chunks by delivery direct" in last_line(program)
    device.report(can=["direct", "raw", "ask"])
    program = publish("--detach", "--delivery", "store,direct")
    assert program.wait() == 2
    assert device.desired_count() == 0


def test_ctrl_c_while_the_content_is_put_leaves_no_offer(device, publish, image_file):
    image_file.write_bytes(make_image(None, "demo", "1.4.0", size=8_000_000))
    program = publish("--delivery", "store")
    program.expect("signed demo")
    program.interrupt()
    assert program.wait() == 1
    assert last_line(program) == "otafleet: interrupted; nothing was offered"
    assert device.desired_count() == 0
