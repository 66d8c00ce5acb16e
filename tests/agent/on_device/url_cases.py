"""agent/urls.py: which URLs are read, and which of them a device may ask."""

from agent.config import Config
from agent.urls import split_url, usable

FIELDS = {"id": "a", "project": "b", "broker": "mqtt://h", "hosts": ["images.example", "10.0.0.2"]}


def refused(url):
    try:
        split_url(url)
    except ValueError:
        return True
    return False


def test_read():
    assert split_url("http://a/") == ("http", "a", 80, "/")
    assert split_url("https://images.example/x/y.bin") == ("https", "images.example", 443, "/x/y.bin")
    assert split_url("https://Images.Example:8443/a%20b?v=1&w=2") == (
        "https",
        "images.example",
        8443,
        "/a%20b?v=1&w=2",
    )
    assert split_url("http://10.0.0.2:1/a:b@c//d") == ("http", "10.0.0.2", 1, "/a:b@c//d")


def test_refused():
    for url in (
        "",
        "direct",
        "http:/a/b",
        "http://",
        "http:///b",
        "http://a",
        "http://a:80",
        "ftp://a/b",
        "HTTP://a/b",
        "http://a:/b",
        "http://a:0/b",
        "http://a:65536/b",
        "http://a:080000/b",
        "http://a:-1/b",
        "http://a:8_0/b",
        "http://a: 80/b",
        "http://user:secret@a/b",
        "http://user@a/b",
        "http://[::1]/b",
        "http://a b/c",
        "http://a/b c",
        "http://a/b\r\nHost: c",
        "http://a/b\tc",
        "http://a/ä",
        "http://ä/b",
        "http://a/b#c",
        "http://a\\b/c",
        "http://" + "a" * 254 + "/b",
    ):
        assert refused(url), url


def test_usable_is_what_device_json_names_and_a_certificate_can_vouch_for():
    without, config = Config(FIELDS), Config(FIELDS, "/otafleet/ca.pem")
    for url in ("http://images.example/a", "http://10.0.0.2:8080/a", "http://IMAGES.example/a"):
        assert usable(url, without) and usable(url, config), url
    assert usable("https://images.example/a", config)
    assert not usable("https://images.example/a", without)
    for url in (
        "direct",
        "https://other.example/a",
        "https://images.example.evil/a",
        "https://evil@images.example/a",
        "https://images.example",
        "https://10.0.0.20/a",
    ):
        assert not usable(url, config), url
