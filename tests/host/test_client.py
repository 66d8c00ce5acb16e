"""The client against real brokers that refuse, vanish, freeze, or are none at all."""

import base64
import datetime as dt
import hashlib
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broker_tools import broker_url
from broker_tools.client import Client
from broker_tools.errors import OtafleetError
from tests.support.broker import Mosquitto
from tests.support.proxy import Proxy


@contextmanager
def connected(url, **options):
    client = Client(broker_url.parse(url), **options)
    client.open()
    try:
        yield client
    finally:
        client.close()


def receive(client, count=1, timeout=10):
    """Pump until `count` messages are there."""
    limit = time.monotonic() + timeout
    found = []
    while len(found) < count:
        assert time.monotonic() < limit, found
        found += client.pump(0.1)
    return found


def pump_until(client, condition, timeout=30):
    limit = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < limit
        client.pump(0.1)


def test_messages_come_with_topic_payload_and_whether_they_were_kept(broker, watch):
    watcher = watch()
    watcher.publish("t/kept", b"1", retain=True)
    with connected(broker.url) as client:
        client.subscribe("t/+", 1)
        assert receive(client) == [("t/kept", b"1", True)]
        watcher.publish("t/live", b"2")
        assert receive(client) == [("t/live", b"2", False)]


def test_what_is_published_reaches_the_broker(broker, watch):
    watcher = watch("t/#")
    with connected(broker.url) as client:
        assert client.publish("t/a", b"x", qos=1, retain=True)
        assert client.flush()
        assert client.publish("t/b", b"y")
        assert watcher.expect("t/a").payload == b"x"
        assert watcher.expect("t/b").payload == b"y"


def test_after_a_lost_connection_it_subscribes_again_and_tells(broker, watch):
    told = []
    hooks = {"on_online": lambda: told.append("online"), "on_offline": lambda: told.append("offline")}
    with connected(broker.url, **hooks) as client:
        client.subscribe("t/#", 1)
        broker.kill()
        pump_until(client, lambda: told == ["offline"])
        assert not client.online
        assert not client.publish("t/lost", b"x", qos=1)
        assert not client.flush(0.1)
        broker.start()
        pump_until(client, lambda: told == ["offline", "online"])
        watch().publish("t/again", b"1")
        assert receive(client)[0].topic == "t/again"


def test_what_was_unsubscribed_from_stays_so_after_a_lost_connection(broker, watch):
    with connected(broker.url) as client:
        client.subscribe_all({"t/a": 0, "t/b": 1, "t/c": 1})
        client.unsubscribe(["t/a", "t/b"])
        watcher = watch()
        for restart in (False, True):
            if restart:
                broker.kill()
                pump_until(client, lambda: not client.online)
                broker.start()
                pump_until(client, lambda: client.online)
            for topic in ("t/a", "t/b", "t/c"):
                watcher.publish(topic, b"1")
            assert [message.topic for message in receive(client)] == ["t/c"]


def test_a_half_open_connection_is_given_up_after_its_keepalive(broker):
    told = []
    with (
        Proxy(broker.url) as proxy,
        connected(proxy.url, keepalive_s=1, on_offline=lambda: told.append(1)) as client,
    ):
        proxy.freeze()
        pump_until(client, lambda: told)
        pump_until(client, lambda: client.online)


def test_the_queue_does_not_grow_while_the_broker_does_not_read():
    """`writable` is what keeps paho's unbounded queue at one packet."""
    with StubBorn(b"\x20\x02\0\0") as server, connected(server.url) as client:
        sent = 0
        while client.writable and sent < 10_000:
            assert client.publish("t/bulk", bytes(4096))
            sent += 1
        assert sent < 10_000
        assert len(client._connection._paho._out_packet) == 1


class StubBorn:
    """A TCP server that answers with fixed bytes once something came, and reads no more."""

    def __init__(self, answer):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self._open = []
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            connection.recv(100)
            if self._answer is None:
                connection.shutdown(socket.SHUT_RDWR)
            else:
                connection.sendall(self._answer)

    def __enter__(self):
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._open:
            connection.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "it closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it does not answer as an MQTT broker"),
        (b"", "it does not answer as an MQTT broker"),
    ],
)
def test_a_server_that_is_no_broker_is_told_from_one(answer, said):
    with StubBorn(answer) as server, pytest.raises(OtafleetError) as caught:
        Client(broker_url.parse(server.url)).open()
    assert caught.value.exit_code == 6
    assert f"no broker at {server.url}: {said}" in caught.value.message


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mqtt://127.0.0.1:1", "connection refused"),
        ("mqtt://no-such-host.invalid", "no broker at mqtt://no-such-host.invalid:1883: "),
        ("mqtt://a..b", "bad host name"),
    ],
)
def test_no_server_at_all_is_one_line(url, said):
    with pytest.raises(OtafleetError, match=said) as caught:
        Client(broker_url.parse(url)).open()
    assert caught.value.exit_code == 6


def mosquitto_password(user, password):
    """One line of a mosquitto password file: PBKDF2 with SHA-512, as mosquitto_passwd writes it."""
    salt, rounds = b"twelve bytes", 101
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"{user}:$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


@pytest.fixture
def strict_broker(tmp_path):
    """A mosquitto that lets nobody in but user "host" with password "pa:ss@word"."""
    passwords = tmp_path / "passwords"
    passwords.write_text(mosquitto_password("host", "pa:ss@word"))
    config = f"\nallow_anonymous false\npassword_file {passwords}\n"
    with Mosquitto(tmp_path / "strict", config) as running:
        yield running


@pytest.mark.parametrize(("login", "advice"), [("", "set"), ("host:tellnoone@", "check"), ("host@", "check")])
def test_a_refused_login_is_one_line_without_the_password(strict_broker, login, advice):
    url = strict_broker.url.replace("mqtt://", f"mqtt://{login}")
    with pytest.raises(
        OtafleetError, match=rf"it refuses the login \(.*\); {advice} user and password"
    ) as caught:
        Client(broker_url.parse(url)).open()
    assert caught.value.exit_code == 6
    assert "tellnoone" not in caught.value.message


def test_the_password_may_come_from_the_url_or_from_the_environment(strict_broker, monkeypatch):
    with connected(strict_broker.url.replace("mqtt://", "mqtt://host:pa%3Ass%40word@")) as client:
        assert client.online
    monkeypatch.setenv("OTAFLEET_PASSWORD", "pa:ss@word")
    with connected(strict_broker.url.replace("mqtt://", "mqtt://host@")) as client:
        assert client.online


@pytest.fixture
def tls_broker(tmp_path):
    """A mosquitto with a certificate for 127.0.0.1 that only the authority in `cafile` vouches for."""
    authority, authority_key = certificate("Test authority")
    server, server_key = certificate("Test server", issuer=(authority, authority_key), address="127.0.0.1")
    pem = serialization.Encoding.PEM
    (tmp_path / "ca.pem").write_bytes(authority.public_bytes(pem))
    (tmp_path / "server.pem").write_bytes(server.public_bytes(pem))
    (tmp_path / "server.key").write_bytes(
        server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    config = f"\ncertfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\n"
    with Mosquitto(tmp_path / "tls", config) as running:
        running.cafile = tmp_path / "ca.pem"
        yield running


def certificate(name, issuer=None, address=None):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if address:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def test_tls_carries_large_and_small_messages_both_ways(tls_broker):
    url = tls_broker.url.replace("mqtt://", "mqtts://")
    context = ssl.create_default_context(cafile=tls_broker.cafile)
    with connected(url, tls=context) as client:
        client.subscribe("t/#", 0)
        for number in range(100):
            client.publish(f"t/{number}", bytes([number]) * (4096 if number % 2 else 1))
        found = receive(client, 100)
        assert [(topic, len(payload)) for topic, payload, _ in found] == [
            (f"t/{number}", 4096 if number % 2 else 1) for number in range(100)
        ]


def test_a_certificate_of_an_unknown_authority_is_refused(tls_broker):
    url = tls_broker.url.replace("mqtt://", "mqtts://")
    with pytest.raises(OtafleetError, match="unable to get local issuer certificate") as caught:
        Client(broker_url.parse(url)).open()
    assert caught.value.exit_code == 6


def test_tls_towards_a_plain_broker_is_one_line(broker):
    url = broker.url.replace("mqtt://", "mqtts://")
    with pytest.raises(OtafleetError, match="no broker at mqtts://"):
        Client(broker_url.parse(url)).open()
