"""What the protocol needs of a broker, held on mosquitto and on the broker that comes with the package."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.support.mqtt_wire import CONNACK, DISCONNECT, PINGREQ, PINGRESP, PUBLISH, Packet, RawClient
from tests.support.waiting import wait_for
from tests.support.watcher import Watcher

PARENT = """
from broker_tools.embedded import EmbeddedBroker
with EmbeddedBroker() as broker:
    print(broker.port, flush=True)
    input()
"""


@pytest.fixture(params=["broker", "embedded_broker"])
def url(request):
    return request.getfixturevalue(request.param).url


def connected(url, client_id, **options):
    client = RawClient(url, client_id, **options)
    answer = read(client)
    assert (answer.first, answer.body[1]) == (CONNACK, 0)
    return client


def read(client):
    packet = client.read()
    assert packet is not None, "the broker closed the connection"
    return packet


def test_a_retained_message_is_kept_replaced_and_cleared(url):
    with Watcher(url, "lamp/#") as lamp:
        lamp.publish("lamp/state", b"one", retain=True)
        lamp.publish("lamp/state", b"two", retain=True)
        lamp.publish("lamp/gone", b"x", retain=True)
        lamp.publish("lamp/gone", b"", retain=True)
    with Watcher(url, "lamp/#") as late:
        late.publish("lamp/fence", b"")
        late.expect("lamp/fence")
        assert [(m.topic, m.payload, m.retain) for m in late.messages.items] == [
            ("lamp/state", b"two", True),
            ("lamp/fence", b"", False),
        ]


def test_a_client_receives_its_own_publication(url):
    with Watcher(url, "lamp/state") as lamp:
        lamp.publish("lamp/state", b"here")
        assert lamp.expect("lamp/state").payload == b"here"


def test_a_new_connection_gets_nothing_it_did_not_ask_for(url):
    with Watcher(url) as lamp:
        lamp.publish("lamp/state", b"here", retain=True)
    with connected(url, "stranger") as stranger:
        stranger.send(Packet(PINGREQ, b""))
        assert stranger.read() == Packet(PINGRESP, b"")


def test_the_will_of_a_dead_socket_is_sent_and_kept(url):
    with Watcher(url, "lamp/online") as seen:
        connected(url, "lamp", will=("lamp/online", b"off")).close()
        assert seen.expect("lamp/online").payload == b"off"
    with Watcher(url, "lamp/online") as late:
        assert late.expect("lamp/online").retain


def test_a_clean_disconnect_sends_no_will(url):
    with Watcher(url, "lamp/online", "other/online") as seen:
        with connected(url, "lamp", will=("lamp/online", b"off")) as lamp:
            lamp.send(Packet(DISCONNECT, b""))
            assert lamp.read() is None
        # The will of a client that dies later is the fence: an earlier will would have come before it.
        connected(url, "other", will=("other/online", b"off")).close()
        seen.expect("other/online")
        assert [message.topic for message in seen.messages.items] == ["other/online"]


def test_a_silent_client_is_dropped_after_its_keepalive(url):
    with (
        Watcher(url, "lamp/online") as seen,
        connected(url, "lamp", keepalive=1, will=("lamp/online", b"off")),
    ):
        seen.expect("lamp/online", timeout=15)


def test_the_same_client_id_again_takes_the_session_over(url):
    with connected(url, "lamp") as older, connected(url, "lamp") as newer:
        assert older.read() is None
        newer.subscribe("lamp/desired")
        newer.read()
        with Watcher(url) as host:
            host.publish("lamp/desired", b"offer")
        delivered = read(newer)
        assert (delivered.topic, delivered.payload) == ("lamp/desired", b"offer")


def test_windows_of_exact_topics_replay_every_retained_chunk(url):
    chunks = {f"store/{number * 4096}": bytes([number % 256]) * 4096 for number in range(96)}
    with Watcher(url) as host:
        for topic, payload in chunks.items():
            host.publish(topic, payload, retain=True)
    got = {}
    with connected(url, "lamp") as lamp:
        topics = list(chunks)
        for start in range(0, len(topics), 16):
            window = topics[start : start + 16]
            lamp.subscribe(*window)
            while not set(window) <= set(got):
                packet = read(lamp)
                if packet.kind == PUBLISH:
                    got[packet.topic] = packet.payload
            lamp.unsubscribe(*window)
    assert got == chunks


def test_after_an_unsubscribe_the_same_topic_replays_again(url):
    with Watcher(url) as host:
        host.publish("store/0", b"chunk", retain=True)
    with connected(url, "lamp") as lamp:
        for _ in range(2):
            lamp.subscribe("store/0")
            assert PUBLISH in {read(lamp).kind for _ in ("suback", "chunk")}
            lamp.unsubscribe("store/0")
            read(lamp)


def test_a_full_window_ahead_arrives_at_qos_0(url):
    with Watcher(url, "lamp/chunk/#") as lamp, Watcher(url) as host:
        for number in range(33):
            host.publish(f"lamp/chunk/{number * 4096}", bytes(4096), qos=0)
        lamp.messages.expect(lambda message: message.topic == f"lamp/chunk/{32 * 4096}")
        assert len(lamp.messages.items) == 33


def test_a_packet_beyond_the_limit_closes_its_sender_and_nobody_else(url):
    with connected(url, "lamp") as lamp, connected(url, "bad") as bad:
        bad.send(Packet(PUBLISH, b"\0\4junk" + bytes(20_000)))
        assert bad.read() is None
        lamp.send(Packet(PINGREQ, b""))
        assert lamp.read() == Packet(PINGRESP, b"")


@pytest.mark.parametrize("address", ["::1", "127.0.0.2"])
def test_the_embedded_broker_listens_on_one_address_only(embedded_broker, address):
    with pytest.raises(OSError, match=r"."):
        socket.create_connection((address, embedded_broker.port), timeout=1)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_embedded_broker_ends_with_its_parent(how):
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PARENT,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        os.kill(parent.pid, how)
        parent.wait(10)
        wait_for(lambda: not _accepts(port), what="the broker's port is closed")


def _accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
