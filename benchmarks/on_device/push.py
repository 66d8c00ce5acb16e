"""The obvious script: one topic, and each message on it is the next sector of the image, until the last."""

from time import sleep_ms, ticks_ms

from esp32 import Partition
from network import STA_IF, WLAN
from umqtt.simple import MQTTClient

slot = Partition(Partition.RUNNING).get_next_update()
sector = 0


def write(topic, payload):
    global sector
    if not sector:
        print("mark offer", ticks_ms())
    if payload == b"end":
        slot.set_boot()
        print("mark rebooting", ticks_ms())
    else:
        slot.writeblocks(sector, payload + b"\xff" * (-len(payload) % 4096))
        sector += 1


wlan = WLAN(STA_IF)
wlan.active(True)
wlan.connect("twin")
while not wlan.isconnected():
    sleep_ms(50)
client = MQTTClient("kitchen", HOST, PORT)
client.set_callback(write)
client.connect()
client.subscribe("push")
print("mark ready", ticks_ms())
while True:
    client.wait_msg()
