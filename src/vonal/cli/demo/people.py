"""Who may sign in to the demo's portal: the company's owner, with a password that everybody knows."""

import time

from msgspec.structs import replace
from sqlalchemy import Connection

from vonal.cli.demo import cast
from vonal.domain.call import new_id
from vonal.domain.passwords import hash_password
from vonal.domain.users import Membership, User
from vonal.store import user_secrets, users
from vonal.store.database import Database


def add(db: Database) -> None:
    """Adds her, unless she is there."""
    place = Membership(tenant_id=cast.TENANT, role="owner", extension=cast.SIMULATED[0])
    owner = User(
        id=new_id("usr"), email=cast.OWNER, name=cast.OWNER_NAME, language="hu", operator=True, memberships=(place,)
    )

    hashed = hash_password(cast.OWNER_PASSWORD)

    def work(tx: Connection) -> None:
        if users.any_tenant_find_by_email(tx, cast.OWNER) is None:
            users.any_tenant_add(tx, owner, at=time.time_ns() // 1_000_000)
            user_secrets.any_tenant_change(tx, owner.id, lambda none: replace(none, password_hash=hashed))

    db.submit(work).result()
