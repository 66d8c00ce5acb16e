# socket that works only while the WLAN is up. What it returns are the runtime's own sockets, so poll, ssl
# and asyncio take them; those that are open when the link goes down stay open.
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
    return _unix.getaddrinfo(*args)
