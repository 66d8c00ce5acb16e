"""Delivery `store`: contents put on a real broker, read back, checked, removed; and brokers that do not keep them."""

import json

import pytest

from agent.protocol.host import topics
from broker_tools import broker_url, exits
from broker_tools.broker_store import BrokerStore
from broker_tools.client import Client
from broker_tools.content import encode
from broker_tools.errors import OtafleetError
from broker_tools.retained import Retained
from firmware.twin.image import make_image
from tests.support.broker import Mosquitto
from tests.support.proxy import Proxy
from tests.support.watcher import Watcher

CODE = b"#" + b"a program that says the same again and again. " * 400
FORM = encode(make_image(CODE, "demo", "1.4.0", size=180_000), "deflate")
"""44 chunks, the first few of them deflated, and one index page."""
BASE = f"fleet/images/demo/{FORM.name}/"


@pytest.fixture
def opened():
    """Open the contents of a broker: `opened(url)`."""
    clients = []

    def open_(url, **options):
        client = Client(broker_url.parse(url))
        client.open()
        clients.append(client)
        return BrokerStore(Retained(client, **options), "fleet")

    yield open_
    for client in clients:
        client.close()


@pytest.fixture
def contents(opened, broker):
    return opened(broker.url)


@pytest.fixture
def watcher(broker):
    with Watcher(broker.url, "fleet/#") as watching:
        yield watching


def expected():
    chunks = [(f"{BASE}{4096 * number}", payload) for number, payload in enumerate(FORM.payloads)]
    return [*chunks, (f"{BASE}index/0", FORM.pages[0])]


def fence(watcher):
    """Wait until all that was published before has come, and forget it."""
    watcher.publish("fleet/fence", b"")
    watcher.expect("fleet/fence")
    watcher.messages.items.clear()


def retained(broker):
    """What a new subscriber is served."""
    with Watcher(broker.url, "fleet/#") as fresh:
        fresh.publish("fleet/fence", b"")
        fresh.expect("fleet/fence")
        return {message.topic: message.payload for message in fresh.messages.items if message.retain}


def test_a_content_is_put_chunks_first_and_retained(contents, watcher, broker):
    assert contents.put("demo", FORM)
    watcher.expect(f"{BASE}index/0")
    assert [(message.topic, message.payload) for message in watcher.messages.items] == expected()
    assert retained(broker) == dict(expected())
    held = contents.verify("demo", FORM.name)
    assert (held.present, held.expected, held.whole, held.fault) == (44, 44, True, "")
    assert held.size == FORM.size + 44 * 8


def test_a_content_that_is_there_is_only_read(contents, watcher):
    contents.put("demo", FORM)
    watcher.expect(f"{BASE}index/0")
    fence(watcher)
    assert not contents.put("demo", FORM)
    watcher.publish("fleet/fence", b"")
    watcher.expect("fleet/fence")
    assert [message.topic for message in watcher.messages.items] == ["fleet/fence"]


def test_an_interrupted_put_is_completed_by_the_next_one(opened, contents, watcher, broker):
    done = []

    def show(count, _total):
        done.append(count)
        if count >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        contents.put("demo", FORM, show)
    half = contents.verify("demo", FORM.name)
    assert (half.present, half.expected, half.missing[0], half.whole) == (20, None, "index/0", False)
    fence(watcher)
    assert opened(broker.url).put("demo", FORM)
    watcher.expect(f"{BASE}index/0")
    assert [(message.topic, message.payload) for message in watcher.messages.items] == expected()[20:]
    assert done == [20]


@pytest.mark.parametrize("bad", [b"x", FORM.payloads[30][:-1], FORM.payloads[29], b""], ids=len)
def test_a_wrong_retained_chunk_is_named_and_mended(contents, watcher, bad):
    contents.put("demo", FORM)
    watcher.publish(f"{BASE}{30 * 4096}", bad, retain=True)
    held = contents.verify("demo", FORM.name)
    ends = (str(30 * 4096),)
    assert (held.missing, held.wrong) == ((ends, ()) if not bad else ((), ends))
    assert (held.present, held.whole) == (43, False)
    assert held.fault == f"1 {'wrong' if bad else 'missing'} ({30 * 4096})"
    fence(watcher)
    assert contents.put("demo", FORM)
    watcher.expect(f"{BASE}{30 * 4096}")
    assert len(watcher.messages.items) == 1
    assert contents.verify("demo", FORM.name).whole


def test_bytes_of_another_content_are_seen_by_its_name(contents, watcher):
    other = encode(make_image(CODE, "demo", "1.4.1", size=180_000, seed=1), "deflate")
    contents.put("demo", other)
    for number, payload in enumerate(other.payloads):
        watcher.publish(topics.image_chunk("fleet", "demo", FORM.name, number * 4096), payload, retain=True)
    watcher.publish(f"{BASE}index/0", other.pages[0], retain=True)
    held = contents.verify("demo", FORM.name)
    assert (held.missing, held.wrong, held.named, held.whole) == ((), (), False, False)
    assert held.fault == "its bytes are not those that it is named after"
    manifest = {
        "component": {"size": 180_000},
        "encoding": "deflate",
        "index": ["0" * 64],
    }
    assert contents.verify("demo", FORM.name, manifest).wrong == ("index/0",)


def test_a_bad_index_page_is_named(contents, watcher):
    contents.put("demo", FORM)
    for bad in (b"x", FORM.pages[0] + b"x", bytes(8 * 513)):
        watcher.publish(f"{BASE}index/0", bad, retain=True)
        assert "index/0" in contents.verify("demo", FORM.name).wrong


def test_a_removal_takes_the_index_first_and_leaves_nothing(contents, watcher, broker):
    other = encode(b"another", "raw")
    contents.put("demo", FORM)
    contents.put("demo", other)
    fence(watcher)
    contents.remove("demo", FORM.name, {"component": {"size": 180_000}})
    watcher.expect(f"{BASE}0")
    order = [message.topic.removeprefix(BASE) for message in watcher.messages.items]
    assert order[:2] == ["index/0", "index/1"]
    assert order[-1] == "0"
    assert {name.split("/")[3] for name in retained(broker)} == {other.name}
    assert contents.find([]) == [("demo", other.name)]
    held = contents.verify("demo", FORM.name)
    assert (held.present, held.fault) == (0, "the broker holds nothing of it")


def test_a_removal_without_a_manifest_leaves_nothing_either(contents, broker):
    contents.put("demo", FORM)
    contents.remove("demo", FORM.name)
    assert retained(broker) == {}


def test_an_image_of_two_index_pages(contents):
    form = encode(bytes(4096 * 600), "deflate")
    contents.put("demo", form)
    held = contents.verify("demo", form.name)
    assert (held.present, held.expected, held.whole) == (600, 600, True)


def test_a_broker_that_dies_half_way_and_forgets_gets_all_of_it(contents, broker):
    def show(count, _total):
        if count == 40 and not restarted:
            restarted.append(True)
            broker.kill()
            broker.start()

    restarted = []
    assert contents.put("demo", FORM, show)
    assert restarted
    assert retained(broker) == dict(expected())


@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_a_connection_that_breaks_or_freezes_half_way_is_mended(broker, fault):
    def show(count, _total):
        if count == 20:
            getattr(proxy, fault)()

    with Proxy(broker.url) as proxy:
        client = Client(broker_url.parse(proxy.url), keepalive_s=1)
        client.open()
        assert BrokerStore(Retained(client), "fleet").put("demo", FORM, show)
        client.close()
        assert proxy.connections == 2
    assert retained(broker) == dict(expected())


def test_a_broker_that_dies_and_stays_away_is_one_line(opened, broker):
    def show(_count, _total):
        broker.kill()

    with pytest.raises(OtafleetError, match="went away and stayed away for 1 s; run this again") as caught:
        opened(broker.url, patience=1).put("demo", FORM, show)
    assert caught.value.exit_code == exits.NO_BROKER


CLOSES = "closes the connection when it is given retained messages of .* bytes: let it take"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("max_packet_size 3000", CLOSES),
        ("retain_available false", CLOSES),
        (
            "message_size_limit 3000",
            "took all 45 messages .* but keeps 6 of them .not 20480, 24576, 28672 and 36 more",
        ),
        ("acl_file {acl}", "took all 45 messages .* but keeps 0 of them .*: check its access rules"),
    ],
    ids=lambda value: value.split()[0],
)
def test_a_broker_that_does_not_keep_it_is_one_line(opened, tmp_path, setting, said):
    acl = tmp_path / "acl"
    acl.write_text("topic read fleet/images/#\n")
    with (
        Mosquitto(tmp_path / "strict", setting.format(acl=acl) + "\n") as broker,
        pytest.raises(OtafleetError, match=said),
    ):
        opened(broker.url).put("demo", FORM)


def test_what_access_rules_keep_from_being_removed_is_said(opened, tmp_path):
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite fleet/#\n")
    broker = Mosquitto(tmp_path / "strict", f"acl_file {acl}\n")
    with broker:
        opened(broker.url).put("demo", FORM)
    acl.write_text("topic read fleet/#\n")
    with broker, pytest.raises(OtafleetError, match=r"still holds 45 messages .*: check its access rules"):
        opened(broker.url).remove("demo", FORM.name)


def test_the_embedded_broker_holds_a_content(opened, embedded_broker):
    form = encode(make_image(None, "demo", "1", size=1_000_000), "raw")
    contents = opened(embedded_broker.url)
    assert contents.put("demo", form)
    assert not contents.put("demo", form)
    assert contents.find([("demo", form.name)]) == [("demo", form.name)]
    contents.remove("demo", form.name)
    assert contents.find([("demo", form.name)]) == []


def test_the_commands(ready, image_file, watch):
    said = json.loads(ready.ok("image", "store", "put", image_file, "--json"))
    content = said["content"]
    assert said == {
        "project": "demo",
        "content": content,
        "chunks": 37,
        "bytes": 150_000,
        "encoding": "raw",
        "put": True,
    }
    text = ready.ok("image", "store", "put", image_file)
    assert text == (
        f"content {content} of project demo (37 chunks, raw, 150,000 bytes): was on the broker already; read back\n"
    )
    line = f"demo -  {content}  37/37 chunks, 150,296 bytes: whole\n"
    assert ready.ok("image", "store", "list") == line
    assert ready.ok("image", "store", "verify", content) == line
    watch("fence").publish(f"fleet/images/demo/{content}/4096", b"", retain=True)
    result = ready.run("image", "store", "verify", content, "--json")
    facts = json.loads(result.stdout)
    assert (facts["present"], facts["expected"], facts["missing"], facts["whole"]) == (
        36,
        37,
        ["4096"],
        False,
    )
    assert result.returncode == 1
    assert result.stderr == (
        f"otafleet: content {content} of project demo is not whole: 1 missing (4096); put it again\n"
    )
    removed = json.loads(ready.ok("image", "store", "remove", content, "--json"))
    assert removed == {"project": "demo", "content": content, "removed": True}
    assert ready.ok("image", "store", "list") == ""


def test_a_content_that_nobody_knows_is_one_line(ready):
    result = ready.run("image", "store", "remove", "0" * 16)
    assert (result.returncode, result.stderr) == (
        1,
        f"otafleet: neither ledger nor broker know a content {'0' * 16}: name its --project\n",
    )
    result = ready.run("image", "store", "verify", "nonsense")
    assert result.returncode == 2
    assert "is no content: 16 lower case hex digits" in result.stderr


def test_no_broker_is_exit_6(ready, image_file):
    result = ready.run("image", "store", "put", image_file, "--broker", "mqtt://127.0.0.1:1")
    assert result.returncode == 6
    assert result.stderr.startswith("otafleet: no broker at mqtt://127.0.0.1:1")
