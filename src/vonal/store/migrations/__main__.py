"""Drafts the next version from what `vonal.store.tables` says and the versions so far do not: for developers.

    python -m vonal.store.migrations "what changes" && ruff format src/vonal/store/migrations

The draft is to be read, corrected (it knows nothing of data) and tried on a filled database of both kinds.
"""

import sys

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from vonal.store import migrate

if __name__ == "__main__":
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        config = migrate.config(connection)
        number = 1 + len(list(ScriptDirectory.from_config(config).walk_revisions()))
        config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
        if number > 1:
            command.upgrade(config, "head")
        command.revision(config, " ".join(sys.argv[1:]), autogenerate=True, rev_id=f"{number:04}")
