"""agent/config.py: a wrong device.json is refused with the line that says what to write."""

from agent.config import Config, ConfigError

KEY = {"kty": "EC", "crv": "P-256", "kid": "0011223344556677", "x": "A" * 43, "y": "A" * 43}
GOOD = {"id": "kitchen", "project": "thermostat", "broker": "mqtt://broker.example:1884", "keys": [KEY]}


def refused(**changes):
    fields = dict(GOOD)
    fields.update(changes)
    try:
        Config(fields)
    except ConfigError as error:
        return str(error)
    raise AssertionError(f"taken: {changes}")


def test_good():
    config = Config(GOOD)
    assert (config.host, config.port, config.prefix, config.floor) == ("broker.example", 1884, "fleet", 0)
    assert config.keys == {"0011223344556677": bytes(64)}
    assert Config({"id": "a", "project": "b", "broker": "mqtt://h"}).port == 1883


def test_hosts():
    assert list(Config(GOOD).hosts) == []
    assert Config(GOOD).cafile is None
    config = Config(dict(GOOD, hosts=["images.example", "192.168.1.5"]), "/otafleet/ca.pem")
    assert config.hosts == ["images.example", "192.168.1.5"]
    assert config.cafile == "/otafleet/ca.pem"
    for bad in (
        "images.example",
        {"images.example": 1},
        [""],
        [7],
        ["a/b"],
        ["a:1"],
        ["Images.example"],
        ["[::1]"],
    ):
        assert "hosts in" in refused(hosts=bad)


def test_refused():
    for bad in (None, "", "a b", "x" * 65, "ä", 7):
        assert "id in" in refused(id=bad)
        assert "project in" in refused(project=bad)
    assert "hardware in" in refused(hardware="rev b")
    for bad in ("a//b", "/a", "a b", "fleet/+", "#"):
        assert "prefix in" in refused(prefix=bad)
    for bad in (None, "", "broker", "http://h:1", "mqtt://", "mqtt://h:x", 7, "mqtt://a://b"):
        assert "broker in" in refused(broker=bad)
    for bad in (
        {},
        7,
        dict(KEY, x="AA"),
        dict(KEY, x="!" * 43),
        dict(KEY, crv="P-384"),
        dict(KEY, kty="RSA"),
    ):
        assert "keys in" in refused(keys=[bad])
    for bad in ("7", 7.0, [1], True):
        assert "floor in" in refused(floor=bad)
    for bad in ("home", {"ssid": 5}, {"key": "x"}):
        assert "wifi in" in refused(wifi=bad)


def test_a_broker_by_its_ipv6_address():
    assert Config(dict(GOOD, broker="mqtt://[::1]:1884")).host == "::1"
