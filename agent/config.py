"""Who this device is and whom it trusts: /otafleet/device.json, written when the board is provisioned."""

import json
from os import stat

from .protocol.checks import is_host, is_name
from .protocol.errors import ProtocolError
from .protocol.topics import check_name

PATH = "/otafleet/device.json"
CAFILE = "/otafleet/ca.pem"


class ConfigError(Exception):
    """device.json is missing or wrong; the text says what to write."""


class Config:
    """The checked device.json. Raises ConfigError.

    `keys` maps a key id to the 64-byte public point x || y of a P-256 key (RFC 7518, section 6.2.1). `hosts` are the
    web servers that may be asked for images; `cafile` is the path of the certificates that vouch for them, or None.
    """

    def __init__(self, fields, cafile=None):
        self.id = self._name(fields, "id")
        self.project = self._name(fields, "project")
        self.hardware = fields.get("hardware") or ""
        if self.hardware:
            self._name(fields, "hardware")
        self.prefix = fields.get("prefix") or "fleet"
        if not all(is_name(name) for name in self.prefix.split("/")):
            raise ConfigError("prefix in %s must be names joined by /" % PATH)
        self.host, self.port = _broker(fields.get("broker"))
        self.user = fields.get("user") or None
        self.password = fields.get("password") or ""
        self.floor = fields.get("floor") or 0
        if type(self.floor) is not int:
            raise ConfigError("floor in %s must be a whole number" % PATH)
        self.wifi = fields.get("wifi")
        if self.wifi and not (isinstance(self.wifi, dict) and isinstance(self.wifi.get("ssid"), str)):
            raise ConfigError("wifi in %s must have an ssid" % PATH)
        self.cafile = cafile
        self.hosts = fields.get("hosts") or ()
        if not isinstance(self.hosts, (list, tuple)) or not all(is_host(host) for host in self.hosts):
            raise ConfigError("hosts in %s must be a list of host names in lower case" % PATH)
        from .protocol.manifest import b64url_decode  # large, and needed nowhere else in here

        self.keys = {}
        for key in fields.get("keys") or ():
            try:
                point = b64url_decode(key["x"]) + b64url_decode(key["y"])
                if (key["kty"], key["crv"], len(point)) != ("EC", "P-256", 64):
                    raise ValueError
                self.keys[key["kid"]] = point
            except (KeyError, TypeError, ValueError, ProtocolError):
                raise ConfigError("keys in %s must be public P-256 JWKs with a kid" % PATH)

    @staticmethod
    def _name(fields, field):
        try:
            check_name(fields.get(field))
        except ProtocolError:
            raise ConfigError("%s in %s must be 1 to 64 of A-Z a-z 0-9 _ -" % (field, PATH))
        return fields[field]


def _broker(url):
    """(host, port) of mqtt://host[:port]."""
    try:
        scheme, address = url.split("://")
        host, _, port = (
            address.rstrip("/").rpartition(":") if ":" in address else (address.rstrip("/"), "", "1883")
        )
        if scheme == "mqtt" and host and 0 < int(port) < 65536:
            return host.strip("[]"), int(port)
    except (AttributeError, ValueError):
        pass
    raise ConfigError("broker in %s must be mqtt://host:port" % PATH)


def load(path=PATH):
    """The device's Config. Raises ConfigError."""
    try:
        with open(path) as file:
            fields = json.load(file)
    except OSError:
        raise ConfigError("%s is missing: provision this board" % path)
    except ValueError:
        raise ConfigError("%s is no JSON" % path)
    if not isinstance(fields, dict):
        raise ConfigError("%s must hold one JSON object" % path)
    try:
        stat(CAFILE)
    except OSError:
        return Config(fields)
    return Config(fields, CAFILE)
