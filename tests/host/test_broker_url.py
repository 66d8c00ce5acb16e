"""Broker URLs: what is taken, and that a password is never shown."""

import pytest

from broker_tools import exits
from broker_tools.broker_url import BrokerUrl, parse
from broker_tools.errors import OtafleetError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("mqtt://host", BrokerUrl("host", 1883)),
        ("mqtts://host", BrokerUrl("host", 8883, tls=True)),
        ("mqtt://host:1884/", BrokerUrl("host", 1884)),
        ("mqtt://me@host", BrokerUrl("host", 1883, user="me")),
        ("mqtt://me:pa%3Ass%40@host:1", BrokerUrl("host", 1, user="me", password="pa:ss@")),
        ("mqtt://[::1]:7", BrokerUrl("::1", 7)),
    ],
)
def test_urls(text, url, monkeypatch):
    monkeypatch.delenv("OTAFLEET_PASSWORD", raising=False)
    assert parse(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "host:1883",
        "http://host",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://host:port",
        "mqtt://host:99999",
        "mqtt://host:0",
        "mqtt://host/path",
        "mqtt://host?x=1",
        "mqtt://[::1",
    ],
)
def test_what_is_no_broker_url_is_wrong_use(text):
    with pytest.raises(OtafleetError, match="bad broker URL") as caught:
        parse(text)
    assert caught.value.exit_code == exits.USAGE


def test_a_bad_url_is_not_repeated_for_it_may_hold_a_password():
    with pytest.raises(OtafleetError) as caught:
        parse("mqtt://me:tellnoone@host:port")
    assert "tellnoone" not in caught.value.message


def test_a_shown_url_has_no_password():
    url = parse("mqtts://me:tellnoone@[::1]:7")
    assert str(url) == "mqtts://me@[::1]:7"
    assert "tellnoone" not in repr(url)


def test_a_password_from_the_environment_needs_a_user_name(monkeypatch):
    monkeypatch.setenv("OTAFLEET_PASSWORD", "tellnoone")
    assert parse("mqtt://me@host").password == "tellnoone"
    assert parse("mqtt://me:other@host").password == "other"
    assert parse("mqtt://host").password is None
