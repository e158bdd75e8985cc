"""Run by Alembic for each upgrade, on the connection and in the transaction of `vonal.store.migrate`."""

from alembic import context

from vonal.store.tables import metadata

# SQLite's tables can be changed in a transaction too; Alembic only does not expect it.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
