# socket that works only while the WLAN is up. What it returns are the runtime's own sockets, so poll, ssl
# and asyncio take them; those that are open when the link goes down stay open. Where the network has a round
# trip time, the address of a server is that of a port which leads there.
import socket as _unix
from _chip import call


def __getattr__(name):
    return getattr(_unix, name)


def socket(*args):
    if call(35) != 1010:
        raise OSError(118, "EHOSTUNREACH")
    return _unix.socket(*args)


def getaddrinfo(*args):
    if call(35) != 1010:
        raise OSError(-202)
    found = _unix.getaddrinfo(*args)
    host = args[0]
    port = call(37, int(args[1]), 0, 0, host.encode() if isinstance(host, str) else host)
    return _unix.getaddrinfo("127.0.0.1", port) if port else found
