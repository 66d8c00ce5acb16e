"""Where the broker is: mqtt://[user[:password]@]host[:port], or mqtts:// over TLS."""

import os
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from broker_tools import exits
from broker_tools.errors import OtafleetError
from broker_tools.text import clean

DEFAULT = "mqtt://127.0.0.1:1883"
PASSWORD_VARIABLE = "OTAFLEET_PASSWORD"  # noqa: S105 - the name of a variable, not a password
PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """A broker's address and login. Its text form never holds the password."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the URL as it may be shown and logged."""
        login = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return clean(f"{'mqtts' if self.tls else 'mqtt'}://{login}{host}:{self.port}")


def parse(text: str) -> BrokerUrl:
    """Return the broker named by a URL; a password may come from $OTAFLEET_PASSWORD instead.

    Raises OtafleetError (usage) for anything that is not such a URL, without repeating what may hold a password.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise _bad() from None
    if (
        parts.scheme not in PORTS
        or not parts.hostname
        or parts.path not in ("", "/")
        or parts.query
        or port == 0
    ):
        raise _bad()
    password = unquote(parts.password) if parts.password is not None else os.environ.get(PASSWORD_VARIABLE)
    user = unquote(parts.username) if parts.username else None
    return BrokerUrl(
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        tls=parts.scheme == "mqtts",
        user=user,
        # MQTT 3.1.1 forbids a password without a user name (section 3.1.2.9).
        password=password if user else None,
    )


def _bad() -> OtafleetError:
    return OtafleetError("bad broker URL: write mqtt://host:1883 or mqtts://user@host:8883", exits.USAGE)
