"""agent/link.py over a broker and a clock that the test holds in its hands (umqtt/simple.py beside this file)."""

from agent import link as module
from agent import packets
from umqtt import simple


class Clock:
    now = 0


module.ticks_ms = lambda: Clock.now


def opened():
    link = module.Link(bytearray(packets.PACKET_MAX), "kitchen", "127.0.0.1", 1883)
    link.open("online", b"{}")
    return link, simple.MQTTClient.broker


def broken(link):
    """The error number of the next pump(), or None."""
    try:
        link.pump()
    except OSError as error:
        return error.errno
    return None


def packets_in(data):
    """(first byte, body) of each packet in `data`, whose lengths are of one or two bytes."""
    found = []
    while data:
        size = data[1] & 0x7F
        start = 2
        if data[1] & 0x80:
            size |= data[2] << 7
            start = 3
        found.append((data[0], data[start : start + size]))
        data = data[start + size :]
    return found


def said(broker):
    """What the broker has been sent since this was last asked."""
    data, broker.said = broker.said, b""
    return packets_in(data)


def test_what_gathered_without_a_broker_goes_out_in_order_however_much_it_is():
    link, _ = opened()
    link.close()
    for number in range(module.UNANSWERED_MAX):
        link.publish("t" * 200, str(number) + " " * 500, 1)
    link.open("online", b"{}")
    for _ in range(module.UNANSWERED_MAX):
        assert broken(link) is None
    sent = [int(body[204:].decode()) for _, body in said(simple.MQTTClient.broker)]
    assert sent == list(range(module.UNANSWERED_MAX))


def test_history_gives_way_to_what_is_retained():
    link, broker = opened()
    link.publish("online", b"1", 1, True)
    for number in range(2 * module.UNANSWERED_MAX):
        link.publish("ack", str(number), 1)
        link.publish("state", str(number), 1, True)
    link.pump()
    topics = [body[2 : 2 + body[1]] for _, body in said(broker)]
    assert topics.count(b"online") == topics.count(b"state") == 1
    assert len(topics) == module.UNANSWERED_MAX


def test_a_message_is_kept_until_its_puback():
    link, broker = opened()
    link.publish("t", b"1", 1)
    link.pump()
    ((_, body),) = said(broker)
    link.open("online", b"{}")
    link.pump()
    assert said(simple.MQTTClient.broker) == [(0x32, body)] and not link.settled()
    simple.MQTTClient.broker.says = b"\x40\x02" + body[3:5]
    link.pump()
    assert link.settled()
    link.open("online", b"{}")
    link.pump()
    assert said(simple.MQTTClient.broker) == []


def test_a_broker_that_takes_nothing_is_noticed_by_pump_alone():
    link, broker = opened()
    broker.deaf = True
    for _ in range(20):
        link.publish("t", bytes(1000))
    assert broken(link) == 105


def test_silence_is_asked_about_and_then_half_open():
    link, broker = opened()
    Clock.now += module.PING_AFTER_MS
    assert broken(link) is None
    link.pump()
    assert said(broker) == [(0xC0, b"")]
    Clock.now += module.PING_WAIT_MS
    assert broken(link) is None
    Clock.now += 1
    assert broken(link) == 110


def test_who_only_listens_must_say_that_he_is_there():
    # A broker drops a client that it has not heard for 1.5 times the keepalive (section 3.1.2.10).
    link, broker = opened()
    for _ in range(120):
        Clock.now += 1000
        broker.says = packets.publish("t", b"1")
        assert broken(link) is None
    assert said(broker) == [(0xC0, b"")] * 5


def test_one_pump_takes_one_packet_of_a_flood():
    link, broker = opened()
    broker.says = b"\xd0\0" * 1000
    link.pump()
    assert len(broker.says) == 1998


def test_what_is_no_message_of_ours_is_acknowledged_and_dropped():
    link, broker = opened()
    for topic, payload in (("t" * 300, b"1"), ("t", b""), ("t", bytes(packets.PACKET_MAX))):
        broker.says = packets.publish(topic, payload, 7)
        while broker.says:
            assert link.pump() is None
        link.pump()
        assert said(broker) == [(0x40, b"\0\x07")]


def test_wait_wakes_when_the_broker_takes_what_waits():
    from time import ticks_diff, ticks_ms

    link, _ = opened()
    link.subscribe(["t"])
    began = ticks_ms()
    link.wait(5000)
    assert ticks_diff(ticks_ms(), began) < 2500
