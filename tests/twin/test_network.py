"""A twin reaches the network only through its WLAN, and umqtt.simple works over it, ours and the genuine one."""

import datetime as dt
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support import testdata
from tests.support.broker import Mosquitto
from tests.twin.bench import make, once, run

JOIN = """
import network
from time import sleep_ms
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect("twin", "")
while not wlan.isconnected():
    sleep_ms(1)
"""


@pytest.fixture
def broker(tmp_path):
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def echo():
    """A port that sends back what it gets, once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                with line:
                    line.sendall(line.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_sockets_fail_until_the_wlan_is_up(tmp_path, echo):
    program = f"""
import socket, usocket
def attempt(call, *arguments):
    try:
        call(*arguments)
        print("ok")
    except OSError as error:
        print(error.args)
attempt(socket.getaddrinfo, "127.0.0.1", {echo})
attempt(socket.socket)
attempt(usocket.socket)
{JOIN}
attempt(socket.getaddrinfo, "127.0.0.1", {echo})
attempt(usocket.socket)
wlan.disconnect()
attempt(socket.socket)
wlan.active(False)
print(wlan.isconnected(), wlan.active(), socket.AF_INET)
"""
    down = "(118, 'EHOSTUNREACH')"
    assert once(tmp_path, program) == ["(-202,)", down, down, "ok", "ok", down, "False False 2"]


def test_the_status_tells_how_far_it_is(tmp_path):
    program = """
import network
from time import sleep_ms
wlan = network.WLAN(network.STA_IF)
try:
    wlan.connect("twin", "")
except OSError as error:
    print(error.args)
wlan.active(True)
print(wlan.status() == network.STAT_IDLE)
for ssid, key in (("twin", ""), ("nowhere", ""), ("locked", "wrong"), ("locked", "secret")):
    wlan.connect(ssid, key)
    print(wlan.status() == network.STAT_CONNECTING, wlan.isconnected())
    while wlan.status() == network.STAT_CONNECTING:
        sleep_ms(1)
    print(wlan.status(), wlan.isconnected(), wlan.config("ssid"), wlan.ifconfig()[0])
print(len(wlan.config("mac")))
import machine
print(wlan.config("mac") == machine.unique_id())
machine.reset()
"""
    twin = make(tmp_path, program)
    twin.air["locked"] = "secret"
    assert run(twin) == [
        "(-12290, 'ESP_ERR_WIFI_NOT_STARTED')",
        "True",
        "True False",
        "1010 True twin 127.0.0.1",
        "True False",
        "201 False nowhere 0.0.0.0",
        "True False",
        "202 False locked 0.0.0.0",
        "True False",
        "1010 True locked 127.0.0.1",
        "6",
        "True",
    ]


def test_a_network_that_goes_away_is_noticed(tmp_path):
    program = JOIN + "print('up')\nwhile wlan.isconnected():\n    sleep_ms(1)\nprint('down', wlan.status())\n"
    twin = make(tmp_path, program + "while not wlan.isconnected():\n    sleep_ms(1)\nprint('again')\n")
    lines = []

    def log(line):
        lines.append(line)
        if line == "up":
            twin.air.clear()
        elif line.startswith("down"):
            twin.air["twin"] = ""
        elif line == "again":
            twin.stop()

    twin.log = log
    twin.run()
    assert lines[1:4] == ["up", "down 201", "again"]


def test_poll_and_asyncio_take_the_sockets(tmp_path, echo):
    program = f"""
{JOIN}
import asyncio, select, socket
s = socket.socket()
s.connect(socket.getaddrinfo("127.0.0.1", {echo})[0][-1])
p = select.poll()
p.register(s, select.POLLIN)
print(p.poll(10))
s.write(b"hello")
print(len(p.poll(5000)), s.read())

async def talk():
    reader, writer = await asyncio.open_connection("127.0.0.1", {echo})
    writer.write(b"async")
    await writer.drain()
    print(await reader.read(100))
    writer.close()
    await writer.wait_closed()

asyncio.run(talk())
"""
    assert once(tmp_path, program) == ["[]", "1 b'hello'", "b'async'"]


TALK = """
from umqtt.simple import MQTTClient, MQTTException
import umqtt.simple
client = MQTTClient("bench", "127.0.0.1", {port}, keepalive=30)
client.set_last_will("t/will", "gone", retain=True, qos=1)
print(client.connect())
client.sock.write(b"\\x82\\x0a\\0\\1\\0\\5t/in1\\0")  # SUBSCRIBE t/in1
print(client.sock.read(5))
client.sock.write(b"\\x30\\x0c\\0\\5t/in1hello")  # PUBLISH
print(client.sock.read(14))
client.disconnect()
print(hasattr(client, "publish"))
"""
SAID = ["0", "b'\\x90\\x03\\x00\\x01\\x00'", "b'0\\x0c\\x00\\x05t/in1hello'"]


def test_our_umqtt_connects_to_a_real_broker(tmp_path, broker):
    assert once(tmp_path / "twin", JOIN + TALK.format(port=broker.port)) == [*SAID, "False"]


def test_a_login_that_is_refused_is_an_mqtt_exception(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        packets = []

        def serve():
            line, _ = server.accept()
            with line:
                packets.append(line.recv(1000))
                line.sendall(b"\x20\x02\0\5")

        thread = threading.Thread(target=serve)
        thread.start()
        program = f"""
{JOIN}
from umqtt.simple import MQTTClient, MQTTException
client = MQTTClient(b"bench", "127.0.0.1", {server.getsockname()[1]}, user="me", password="pw", keepalive=300)
client.set_last_will(b"w", b"gone" * 30, qos=1)
try:
    client.connect(clean_session=False, timeout=5)
except MQTTException as error:
    print(error.args, client.sock)
"""
        assert once(tmp_path, program) == ["(5,) None"]
        thread.join()
    # MQTT 3.1.1, section 3.1: flags are user, password, will at QoS 1; keepalive 300.
    body = b"\0\4MQTT\4\xcc\x01\x2c\0\5bench\0\1w\0\x78" + b"gone" * 30 + b"\0\2me\0\2pw"
    assert packets == [b"\x10" + bytes((len(body) & 127 | 128, len(body) >> 7)) + body]


def test_the_genuine_umqtt_works_where_it_is_given(tmp_path, broker):
    program = f"""
{JOIN}
from umqtt.simple import MQTTClient
client = MQTTClient("bench", "127.0.0.1", {broker.port}, keepalive=30)
seen = []
client.set_callback(lambda topic, message: seen.append((topic, message)))
print(client.connect())
client.subscribe(b"t/in", qos=1)
client.publish(b"t/in", b"hello", qos=1)
while not seen:
    client.wait_msg()
print(seen)
client.disconnect()
"""
    lines = once(tmp_path / "twin", program, libs={"umqtt": testdata.umqtt_dir()})
    assert lines == ["0", "[(b't/in', b'hello')]"]


def test_a_library_given_to_the_twin_comes_before_the_one_of_the_firmware(tmp_path):
    (tmp_path / "umqtt").mkdir()
    (tmp_path / "umqtt" / "simple.py").write_text("WHOSE = 'genuine'\n")
    program = "import umqtt.simple\nprint(umqtt.simple.WHOSE)"
    assert once(tmp_path / "twin", program, libs={"umqtt": tmp_path / "umqtt"}) == ["genuine"]


def test_the_old_names_of_modules_work(tmp_path):
    program = """
import usocket, ussl, ustruct, ubinascii, socket
print(usocket is socket, hasattr(ussl, "wrap_socket"), ubinascii.hexlify(ustruct.pack("!H", 1)))
"""
    assert once(tmp_path, program) == ["True True b'0001'"]


@pytest.fixture
def tls_echo(tmp_path):
    """The echo behind TLS: (its port, its certificate as DER)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    pem = serialization.Encoding.PEM
    path.write_bytes(
        certificate.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            line, _ = server.accept()
            with context.wrap_socket(line, server_side=True) as line:
                line.sendall(line.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], certificate.public_bytes(serialization.Encoding.DER)
        thread.join()


def test_tls_takes_the_sockets(tmp_path, tls_echo):
    port, certificate = tls_echo
    program = f"""
{JOIN}
import socket, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(cadata=open("/ca.der", "rb").read())
s = socket.socket()
s.connect(socket.getaddrinfo("127.0.0.1", {port})[0][-1])
s = context.wrap_socket(s, server_hostname="localhost")
s.write(b"secret")
print(s.read(6))
"""
    assert once(tmp_path, program, files={"ca.der": certificate}) == ["b'secret'"]
