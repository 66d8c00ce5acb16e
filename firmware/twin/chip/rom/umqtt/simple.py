# Stands in for the umqtt.simple that every ESP32 build freezes: the same class, as far as making and
# closing a connection goes (MQTT 3.1.1). It shares no code with the original.
import socket
from struct import pack


class MQTTException(Exception):
    pass


def _text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return pack("!H", len(value)) + value


class MQTTClient:
    def __init__(
        self, client_id, server, port=0, user=None, password=None, keepalive=0, ssl=None, ssl_params={}
    ):
        self.client_id = client_id
        self.server = server
        self.port = port or (8883 if ssl else 1883)
        self.user = user
        self.pswd = password
        self.keepalive = keepalive
        self.ssl = ssl
        self.ssl_params = ssl_params
        self.sock = None
        self.will = None

    def set_last_will(self, topic, msg, retain=False, qos=0):
        self.will = (4 | qos << 3 | retain << 5, _text(topic) + _text(msg))

    def connect(self, clean_session=True, timeout=None):
        self._close()
        self.sock = socket.socket()
        try:
            return self._connect(clean_session, timeout)
        except BaseException:
            self._close()
            raise

    def _connect(self, clean_session, timeout):
        self.sock.settimeout(timeout)
        self.sock.connect(socket.getaddrinfo(self.server, self.port)[0][-1])
        if self.ssl is True:
            import ssl

            self.sock = ssl.wrap_socket(self.sock, **self.ssl_params)
        elif self.ssl:
            self.sock = self.ssl.wrap_socket(self.sock, server_hostname=self.server)
        flags = 2 if clean_session else 0
        rest = _text(self.client_id)
        if self.will:
            flags |= self.will[0]
            rest += self.will[1]
        if self.user:
            flags |= 0xC0
            rest += _text(self.user) + _text(self.pswd)
        packet = b"\0\4MQTT\4" + pack("!BH", flags, self.keepalive) + rest
        size = len(packet)
        head = b"\x10"
        while True:
            head += bytes((size & 127 | (128 if size > 127 else 0),))
            size >>= 7
            if not size:
                break
        self.sock.write(head + packet)
        answer = self.sock.read(4)
        if not answer or len(answer) < 4 or answer[:2] != b"\x20\x02":
            raise OSError(-1)
        if answer[3]:
            raise MQTTException(answer[3])
        return answer[2] & 1

    def disconnect(self):
        self.sock.write(b"\xe0\0")
        self._close()

    def _close(self):
        if self.sock:
            self.sock.close()
            self.sock = None
