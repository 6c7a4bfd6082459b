"""Run by Alembic: migrates over the connection that `store.py` hands in."""

from alembic import context

from isthmus.console.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
