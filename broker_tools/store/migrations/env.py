"""Runs migrations on the connection that `database.migrate` opened: all of them in its one transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
