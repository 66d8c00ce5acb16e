# network.WLAN as a station. The air (which networks are there, and their keys) is the parent's, so a test
# can switch it off under a running device.
from _chip import call

STA_IF = 0
AP_IF = 1
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202


class WLAN:
    IF_STA = 0
    IF_AP = 1
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    def __init__(self, interface=STA_IF):
        if interface != STA_IF:
            raise ValueError("a twin is a station only")

    def active(self, on=None):
        # 2: ask; 0, 1: set
        return bool(call(32, 2 if on is None else on))

    def connect(self, ssid="", key="", **_):
        call(33, 0, 0, 0, ssid.encode() + b"\0" + (key or "").encode())

    def disconnect(self):
        call(34)

    def status(self, what=None):
        return -50 if what == "rssi" else call(35)

    def isconnected(self):
        return call(35) == STAT_GOT_IP

    def ifconfig(self, settings=None):
        ip = "127.0.0.1" if self.isconnected() else "0.0.0.0"
        return (ip, "255.0.0.0", "0.0.0.0", "0.0.0.0")

    def config(self, name=None, **_):
        if name == "mac":
            return call(12)
        if name in ("ssid", "essid"):
            return str(call(36), "utf-8")
        if name:
            raise ValueError("unknown config param")


def hostname(name=None):
    return "twin"
