"""agent/web.py over TLS: which certificate it believes, and how long it waits for a handshake."""

import datetime as dt
import socket
import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.support.web import WebServer, change
from tests.support.web_client import ALL, FILES, TWO, fetch, right, tls


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def cafile(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("trust") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def test_https_with_a_certificate_of_the_right_authority(authority, cafile):
    with WebServer(FILES, tls=tls(authority)) as server:
        told = fetch(server.url + "/app.bin", asks=ALL, cafile=cafile)
    assert told["came"] == right(ALL)
    assert (server.connections, told["refused"]) == (1, "")


def test_one_of_several_certificates_in_the_file_is_enough(authority, tmp_path):
    path = tmp_path / "ca.pem"
    known = [trustme.CA(), authority, trustme.CA()]
    path.write_bytes(b"Whom we trust\n=============\n" + b"\nand\n".join(ca.cert_pem.bytes() for ca in known))
    with WebServer(FILES, tls=tls(authority)) as server:
        assert fetch(server.url + "/app.bin", cafile=path)["came"] == right(TWO)


def test_a_server_that_closes_after_each_response_over_tls(authority, cafile):
    with WebServer(FILES, tls=tls(authority), fault=change(close=True)) as server:
        told = fetch(server.url + "/app.bin", asks=ALL, cafile=cafile)
        assert told["came"] == right(ALL)
        assert server.connections == 5


NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "images.example"},
        {"name": "*.localhost"},
        {"not_before": NOW - 2 * DAY, "not_after": NOW - DAY},
        {"not_before": NOW + DAY, "not_after": NOW + 2 * DAY},
    ],
    ids=["another name", "another wildcard", "expired", "not valid yet"],
)
def test_a_certificate_that_is_not_the_servers_is_refused(authority, cafile, options):
    with WebServer(FILES, tls=tls(authority, **options)) as server:
        told = fetch(server.url + "/app.bin", cafile=cafile)
        assert (told["refused"], told["came"], server.requests) == ("bad_certificate", [], [])
        assert not told["waits"]


@pytest.mark.parametrize(("name", "refused"), [("127.0.0.1", ""), ("localhost", "bad_certificate")])
def test_an_address_has_to_be_in_the_certificate_as_such(authority, cafile, name, refused):
    with WebServer(FILES, tls=tls(authority, name)) as server:
        assert fetch(f"https://127.0.0.1:{server.port}/app.bin", cafile=cafile)["refused"] == refused


def test_a_certificate_that_demands_what_nobody_knows_is_refused(authority, cafile, tmp_path):
    # RFC 5280, section 4.2: a critical extension that is not understood. Mbed TLS does not even read on.
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"),
            critical=True,
        )
        .sign(load_pem_private_key(authority.private_key_pem.bytes(), None), hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "server.pem").write_bytes(secret + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with WebServer(FILES, tls=context) as server:
        told = fetch(server.url + "/app.bin", cafile=cafile)
        assert (told["refused"], told["came"], server.requests) == ("bad_certificate", [], [])


def test_a_certificate_of_another_authority_is_refused(cafile):
    with WebServer(FILES, tls=tls(trustme.CA())) as server:
        told = fetch(server.url + "/app.bin", cafile=cafile)
        assert (told["refused"], told["came"], server.requests) == ("bad_certificate", [], [])


@pytest.mark.parametrize(
    "content", [None, b"", b"no certificate\n", b"-----BEGIN X-----\nAAAA\n-----END X-----\n"]
)
def test_without_a_certificate_to_trust_nobody_is_asked(authority, tmp_path, content):
    path = None
    if content is not None:
        path = tmp_path / "ca.pem"
        path.write_bytes(content)
    with WebServer(FILES, tls=tls(authority)) as server:
        told = fetch(server.url + "/app.bin", cafile=path)
        assert (told["refused"], told["came"], server.connections) == ("bad_certificate", [], 0)


def test_the_wrong_scheme_gets_nothing(authority, cafile):
    with WebServer(FILES) as plain:
        told = fetch(plain.url.replace("http:", "https:") + "/app.bin", cafile=cafile)
        assert (told["refused"], told["came"]) == ("", [])
    with WebServer(FILES, tls=tls(authority)) as secret:
        told = fetch(secret.url.replace("https:", "http:") + "/app.bin", cafile=cafile)
        assert told["came"] == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_handshake_has_an_end(scheme, cafile):
    # A full backlog leaves a SYN without an answer; a listener that nobody serves leaves TLS without one.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = []
        if scheme == "http":
            for _ in range(4):
                fillers.append(socket.socket())
                fillers[-1].setblocking(False)
                fillers[-1].connect_ex(address)
        told = fetch(f"{scheme}://127.0.0.1:{address[1]}/app.bin", cafile=cafile, connect=400)
        for filler in fillers:
            filler.close()
    assert (told["refused"], told["came"], told["connects"]) == ("", [], 1)
    assert 400 <= told["took"] < 900
