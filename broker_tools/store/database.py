"""Opens the store and brings its schema up to date."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from broker_tools import exits, home
from broker_tools.errors import OtafleetError
from broker_tools.store.schema import HEAD

VARIABLE = "OTAFLEET_STORE"
BUSY_S = 10
"""How long a writer waits for another one, in seconds."""
FILE_NAME = "otafleet.db"
MIGRATIONS = Path(__file__).parent / "migrations"


def open_engine(url: str | None = None) -> Engine:
    """Return an engine on the store named by `url`, $OTAFLEET_STORE or the home, with the newest schema.

    Raises OtafleetError: bad URL (usage), a store made by a newer otafleet, a disk or server that refuses.
    """
    named = url or os.environ.get(VARIABLE)
    try:
        place = make_url(named or f"sqlite:///{home.ensure() / FILE_NAME}")
        engine = create_engine(
            place, connect_args={"timeout": BUSY_S} if place.drivername == "sqlite" else {}
        )
    except (ArgumentError, NoSuchModuleError, ImportError):
        message = (
            "bad store URL: write sqlite:////path/to/file.db (other databases need their driver installed)"
        )
        raise OtafleetError(message, exits.USAGE) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    with guard(engine):
        with engine.begin() as connection:
            current = _revision(connection)
        if current != HEAD:
            _migrate(engine)
    return engine


@contextmanager
def guard(engine: Engine) -> Iterator[None]:
    """Turn what the database complains of within the block into one line that names the store."""
    try:
        yield
    except SQLAlchemyError as error:
        said = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        raise OtafleetError(f"store {engine.url.render_as_string()}: {said}") from None


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Transactions are begun by _begin_immediate; the driver must not begin its own, deferred ones.
    connection.isolation_level = None
    # Readers never wait for a writer (WAL); what was committed before a publish survives a power cut (FULL).
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_immediate(connection: Connection) -> None:
    # Take the write lock before reading: two publishers must not both read the same last n.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _revision(connection: Connection) -> str | None:
    """Schema revision of the store; None for a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _migrate(engine: Engine) -> None:
    """Bring the store to HEAD, all of it or nothing: every step runs in one transaction."""
    # Imported here: most commands find the store up to date and need none of alembic.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        current = _revision(connection)
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if current is not None and current not in known:
            message = (
                f"store {engine.url.render_as_string()} was made by a newer otafleet (schema {current}, "
            )
            raise OtafleetError(message + f"this one knows {HEAD}); upgrade otafleet")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
