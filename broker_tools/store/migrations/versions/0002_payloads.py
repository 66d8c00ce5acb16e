"""Payloads of deflated contents, kept with the manifest that names them. NULL: the content is raw."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; every release so far is raw."""
    op.add_column("releases", sa.Column("payloads", sa.LargeBinary, nullable=True))
