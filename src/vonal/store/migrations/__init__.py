"""The database's versions, by Alembic; `vonal.store.migrate` runs them."""
