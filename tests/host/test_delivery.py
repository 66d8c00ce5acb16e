"""The list of `--delivery`: what may stand in it, and what a device can do with it."""

import pytest

from broker_tools import exits
from broker_tools.delivery import parse, usable
from broker_tools.errors import OtafleetError

URL = "https://updates.example.org/lamp/1.4.0.bin"


@pytest.mark.parametrize(
    ("given", "ways"),
    [
        (["direct"], ["direct"]),
        (["store,direct"], ["store", "direct"]),
        (["store", "https://h/a,direct"], ["store", "https://h/a", "direct"]),
        (["https://h/a,b/c.bin,http://h/d,e"], ["https://h/a,b/c.bin", "http://h/d,e"]),
        (["https://h/direct,director"], ["https://h/direct,director"]),
        ([f"{URL}?key=a@b:c"], [f"{URL}?key=a@b:c"]),
        (["http://10.0.0.7:8080/a", "direct", "store", "https://h/a"],) * 2,
        (["https://h/" + "a" * 246],) * 2,
    ],
)
def test_ways_are_listed_in_order(given, ways):
    assert parse(given) == ways


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "--delivery '': it is direct, store"),
        ("pigeon", "--delivery 'pigeon': it is direct, store"),
        ("direct,pigeon", "--delivery 'direct,pigeon': it is"),
        ("https", "'https': it is direct"),
        ("HTTPS://h/a", "'HTTPS://h/a': it is direct"),
        ("ftp://h/a", "'ftp://h/a': it is direct"),
        ("\x1b[31m", r"'\x1b[31m': it is direct"),
        ("direct,direct", "names one way twice"),
        ("direct,store,http://h/a,http://h/b,http://h/c", "at most 4 ways"),
        ("https://h/" + "a" * 247, "a URL has at most 256 characters"),
        ("https://h/ä", "printable ASCII"),
        ("https://h/a b", "printable ASCII without spaces"),
        ("https://h/a\n", "printable ASCII"),
        ("https://me:secret@h/a", "no user and password"),
        ("https://me@h/a", "no user and password"),
        ("https://h/a#b", "no fragment"),
        ("https:///a", "names a host"),
        ("https://[::1]/a", "names a host"),
        ("https://h_1/a", "names a host"),
        ("https://h:/a", "names a port"),
        ("https://h:0/a", "names a port"),
        ("https://h:65536/a", "names a port"),
        ("https://h:8x/a", "names a port"),
        ("https://h", "the image's file, not a folder"),
        ("https://h/", "the image's file, not a folder"),
        ("https://h/a/", "the image's file, not a folder"),
    ],
)
def test_what_no_offer_can_carry_is_wrong_use(given, said):
    with pytest.raises(OtafleetError) as caught:
        parse([given])
    assert caught.value.exit_code == exits.USAGE
    assert said in caught.value.message
    assert "secret" not in caught.value.message


def test_a_device_is_offered_the_ways_that_it_has():
    state = {"can": ["direct", "http", "raw", "deflate", "ask"]}
    assert usable(["store", "http://h/a", URL, "direct"], state, "kitchen") == ["http://h/a", "direct"]
    with pytest.raises(OtafleetError) as caught:
        usable(["store", URL], state, "kitchen")
    assert caught.value.message == (
        f"kitchen cannot fetch by store or {URL}; it can by direct, http: choose with --delivery"
    )
    with pytest.raises(OtafleetError, match="it can by nothing"):
        usable(["store"], {"can": ["raw"]}, "kitchen")
