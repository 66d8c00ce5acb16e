"""The last `desired` message of each device. It is kept before it is published: the broker may forget it."""

import time
from collections.abc import Callable

from sqlalchemy import ColumnElement, Engine, delete, insert, select, update

from broker_tools.store.database import guard
from broker_tools.store.schema import desired


def offer(
    engine: Engine, prefix: str, device: str, reported: int, make: Callable[[int], bytes]
) -> tuple[int, bytes]:
    """Take the device's next offer number, keep the message that `make(n)` returns, and return both.

    `reported` is the n in the device's state; the number is one more than that and than every earlier one of ours.
    """
    with guard(engine), engine.begin() as connection:
        mine = connection.scalar(select(desired.c.n).where(*_of(prefix, device)).with_for_update())
        n = 1 + max(mine or 0, reported)
        payload = make(n)
        connection.execute(delete(desired).where(*_of(prefix, device)))
        row = {"prefix": prefix, "device": device, "n": n, "withdrawn": False, "payload": payload}
        connection.execute(insert(desired).values(made=int(time.time()), **row))
        return n, payload


def withdraw(engine: Engine, prefix: str, device: str, n: int, payload: bytes) -> bool:
    """Keep a withdrawal of offer `n`; False, and nothing is changed, when a later offer has replaced it."""
    with guard(engine), engine.begin() as connection:
        values = {"withdrawn": True, "payload": payload, "made": int(time.time())}
        where = (*_of(prefix, device), desired.c.n == n)
        return connection.execute(update(desired).where(*where).values(values)).rowcount == 1


def _of(prefix: str, device: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return desired.c.prefix == prefix, desired.c.device == device
