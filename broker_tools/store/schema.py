"""Tables of the store as the newest migration leaves them. Times are Unix seconds, digests lower-case hex."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

HEAD: Final = "0002"
"""Newest revision in migrations/versions: known here, so that an up-to-date store opens without alembic."""

metadata = MetaData()

releases = Table(
    "releases",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String(64), nullable=False),
    Column("version", String(32), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("floor_rule", String(8), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("kid", String(16), nullable=False),
    Column("signed", BigInteger, nullable=False),
    Column("manifest", String, nullable=False),
    Column("payloads", LargeBinary, nullable=True),
    UniqueConstraint("project", "sequence"),
)
"""Ledger of every manifest signed here: the next one takes its order and its floor from it."""

desired = Table(
    "desired",
    metadata,
    Column("prefix", String(200), primary_key=True),
    Column("device", String(64), primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("made", BigInteger, nullable=False),
)
"""The last `desired` message of each device, byte for byte as it belongs on the broker."""
