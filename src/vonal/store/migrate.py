"""Brings a database's tables to the state that this version of the code expects."""

from sqlalchemy import Engine

from vonal.store.sql import upsert
from vonal.store.tables import metadata, setting


def upgrade(engine: Engine) -> None:
    """Creates what is missing."""
    metadata.create_all(engine)
    with engine.begin() as tx:
        if tx.execute(setting.select()).first() is None:
            upsert(tx, setting, [{"name": "directory_version", "value": "0"}], key=["name"])
