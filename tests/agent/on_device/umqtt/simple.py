"""In the place of umqtt.simple: a connection to a broker that only does what a test says."""

import io

_POLL = 3  # MP_STREAM_POLL of MicroPython's py/stream.h; its flags are 1 to read and 4 to write


class Broker(io.IOBase):
    """The socket of a link: `said` is what has been written, `says` what can be read; a deaf one takes nothing."""

    def __init__(self):
        self.says = b""
        self.said = b""
        self.deaf = False

    def readinto(self, view):
        if not self.says:
            return None
        part = self.says[: len(view)]
        view[: len(part)] = part
        self.says = self.says[len(part) :]
        return len(part)

    def write(self, data):
        if self.deaf:
            return None
        self.said += bytes(data)
        return len(data)

    def ioctl(self, request, flags):
        if request != _POLL:
            return -1
        return flags & ((1 if self.says else 0) | (0 if self.deaf else 4))

    def setblocking(self, flag):
        pass

    def close(self):
        pass


class MQTTClient:
    """Connects at once; `broker` is the last connection made."""

    broker = None

    def __init__(self, *args):
        self.sock = None

    def set_last_will(self, topic, message, retain, qos):
        pass

    def connect(self, clean_session, timeout):
        self.sock = MQTTClient.broker = Broker()
